"""
Who may do what: every door judges its requests here, and nowhere else.

``requests`` says what is looked at, ``policy`` decides, ``principals`` are what comes out.
"""
