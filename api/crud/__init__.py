"""From a declaration to a working resource: routes, who may do what, normal forms of fields.

Knows no resource in particular; `api/resources/` holds the declarations.
"""
