"""Ground floor: what every request gets, whatever it asks for.

Problem details, request ids, logs, headers, body limits, health. Knows nothing of resources.
"""
