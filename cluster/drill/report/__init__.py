"""How runs are told: report.json, pages, tables, and the formats of other tools."""
