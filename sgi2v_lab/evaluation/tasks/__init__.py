"""Many small jobs, on one machine or many: each result a record in a folder that survives a kill."""
