"""The models one can launch: the list in groups, and one model with its hyperparameters."""

from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.catalog.offered import PROMPT
from app.catalog.page import model_groups, model_view
from app.catalog.shelf import read_shelf
from app.catalog.tuned import ask_again, tuned_page
from app.providers import providers
from app.web.pages import page, see
from app.web.session import Acting, Database

router = APIRouter()


@router.get("/models")
def list_page(request: Request, session: Database, actor: Acting, name: str = "") -> Response:
    """Every model on the grid; `?name=` looks up a service's model by its id, or a Hugging Face model by its hub name
    or folder."""
    wanted = name.strip().removeprefix("hf/")
    if wanted:
        place = "" if wanted.partition("/")[0] in (*providers(), PROMPT) else "hf/"
        return see(f"/models/{place}{quote(wanted, safe='/')}")
    return page(request, "catalog/list.html", "Models", groups=model_groups(read_shelf(session, actor)))


@router.get("/models/tuned")
def tuned_models_page(request: Request, session: Database, actor: Acting) -> HTMLResponse:
    """The fine-tuned models of the lab's accounts, and a way to store their predictions while they answer."""
    view = tuned_page(session, actor)
    return page(request, "catalog/tuned.html", "Fine-tuned models", view=view)


@router.post("/models/tuned")
def look_for_tuned_models(session: Database, actor: Acting) -> Response:
    """Asks the services again; the page shows what they say once a worker has asked."""
    ask_again(session, actor)
    return see("/models/tuned")


@router.get("/models/{model_id:path}")
def model_page(request: Request, model_id: str, session: Database, actor: Acting) -> HTMLResponse:
    """One model: what one must know before choosing it, and what can be set."""
    view = model_view(session, actor, model_id)
    return page(request, "catalog/model.html", view.model.label, view=view)
