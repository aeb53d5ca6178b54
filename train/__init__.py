"""The command line ``cxr``: verbs that call the library."""
