"""Eve with the same collection shape, for its own virtual environment (requirements-eve.txt).

Its defaults, save that writes wait for a majority as ours do, that answers are JSON only, and that
the fields it looks up for uniqueness have indexes. Its default counts all documents for each page;
BENCH_EVE_TOTALS=0 switches that off. The connection string comes in BENCH_URI.
"""

import os

from eve import Eve

TEXT = {"type": "string", "minlength": 1, "maxlength": 500}

SETTINGS = {
    "MONGO_URI": os.environ["BENCH_URI"],
    "MONGO_WRITE_CONCERN": {"w": "majority"},
    "RENDERERS": ["eve.render.JSONRenderer"],
    "OPTIMIZE_PAGINATION_FOR_SPEED": os.environ.get("BENCH_EVE_TOTALS") == "0",
    "PAGINATION_LIMIT": 100,
    "URL_PREFIX": "api",
    "API_VERSION": "v1",
    "DOMAIN": {
        "users": {
            "resource_methods": ["GET", "POST"],
            "item_methods": ["GET", "PATCH"],
            "datasource": {"default_sort": [("_id", 1)]},
            "schema": {
                "name": {**TEXT, "required": True},
                "national_id": {**TEXT, "required": True, "unique": True},
                "email": {**TEXT, "required": True, "unique": True},
                "phone": TEXT,
                "address": TEXT,
                "occupation": TEXT,
                "role": {"type": "string", "default": "user", "allowed": ["user", "admin"]},
                "disabled": {"type": "boolean", "default": False},
            },
        }
    },
}

app = Eve(settings=SETTINGS)
