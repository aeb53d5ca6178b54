"""What have others reported? The list is the library's."""

from cxrcore.published import Published, published

__all__ = ["Published", "published"]
