"""The words of the domain: frozen events, instruments, enumerations, errors. Nothing here knows a clock or a file."""
