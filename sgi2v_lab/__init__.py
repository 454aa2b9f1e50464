"""SG-I2V in a notebook: draw boxes and paths on a picture, and a video follows them.

`__init__.pyi` lists the public names, in the order in which data passes through them. Each is imported when it is
first used, so that `import sgi2v_lab` costs nothing.
"""

import lazy_loader

from sgi2v_lab.quiet import quiet_libraries

__version__ = "0.1.0"

quiet_libraries()
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
