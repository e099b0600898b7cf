"""GET /api/docs and /api/openapi.json."""

from fastapi.testclient import TestClient

from app.web.api_words import curl, example, type_text


def test_page_shows_every_endpoint(client: TestClient) -> None:
    described = client.get("/api/openapi.json").json()
    text = client.get("/api/docs").text
    assert len(described["paths"]) > 20
    for path, methods in described["paths"].items():
        assert path.startswith("/api/v1/")
        assert f"<code>{path}</code>" in text
        for method in methods:
            assert f'id="{method}{path}"'.replace("/", "-").replace("{", "").replace("}", "") in text


def test_page_runs_no_script_of_others(client: TestClient) -> None:
    answer = client.get("/api/docs")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "<script>" not in answer.text
    assert "https://" not in answer.text


def test_both_ask_for_sign_in(client: TestClient) -> None:
    stranger = {"authorization": "Bearer nobody"}
    page = client.get("/api/docs", headers=stranger)
    assert page.status_code == 401
    assert page.headers["content-type"].startswith("text/html")
    described = client.get("/api/openapi.json", headers=stranger)
    assert described.status_code == 401
    assert described.headers["content-type"] == "application/problem+json"


def test_description_names_the_token(client: TestClient) -> None:
    described = client.get("/api/openapi.json").json()
    assert described["security"] == [{"token": []}]
    assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_launch_example_is_complete(client: TestClient) -> None:
    text = client.get("/api/docs").text
    assert (
        "-d &#39;{&#34;dataset_id&#34;: 1, &#34;models&#34;: [{&#34;model&#34;: &#34;baseline/majority&#34;}]}&#39;"
        in text
    )


WHOLE = {
    "components": {
        "schemas": {
            "Row": {
                "properties": {
                    "model": {"type": "string"},
                    "seed": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                },
                "required": ["model"],
            }
        }
    }
}


def test_types_in_words() -> None:
    rows = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}}
    assert type_text(WHOLE, rows) == "list of {model: string, seed: integer or null}"
    assert type_text(WHOLE, {"type": "string", "format": "binary"}) == "file"
    assert type_text(WHOLE, {"enum": ["a", 1]}) == '"a" or 1'
    assert example(WHOLE, rows) == [{"model": "baseline/majority"}]


def test_curl_fills_in_what_is_required() -> None:
    said = {
        "parameters": [
            {"name": "runs", "in": "query", "required": True},
            {"name": "show", "in": "query", "required": False},
        ],
        "requestBody": {
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "properties": {
                            "file": {"type": "string", "format": "binary"},
                            "name": {"type": "string"},
                        },
                        "required": ["file"],
                    }
                }
            }
        },
    }
    made = curl({}, "http://localhost", "/runs/{run_id}/x", "post", said)
    assert "-X POST" in made
    assert "-F file=@file.jsonl" in made
    assert "name=" not in made
    assert made.endswith("'http://localhost/runs/1/x?runs=1,2'")
