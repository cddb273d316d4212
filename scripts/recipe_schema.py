"""Write docs/recipe.schema.json, the JSON Schema of recipes."""

import json
from pathlib import Path

from charter.pipeline.recipe import json_schema

if __name__ == "__main__":
    target = Path(__file__).parents[1] / "docs" / "recipe.schema.json"
    target.write_text(json.dumps(json_schema(), indent=2) + "\n", "utf-8")
    print(target)
