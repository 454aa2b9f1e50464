"""What the method costs: operations counted, time and memory measured, beside a recipe that does more than it must."""
