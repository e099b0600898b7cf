"""Together AI: LoRA training of open models with every value set and read back, weights, own deployments."""

from app.providers import _rows
from app.providers._base import Chat, Deploy, Provider, Training
from app.providers.together import chat, fields, hosts, jobs, offers, serving, weights
from app.service_http import Api

PROVIDER = Provider(
    name="together",
    label="Together",
    description="LoRA training of open models, with every value set and read back; the weights are yours.",
    base_url=hosts.BASE_URL,
    key_help="https://api.together.ai/settings/projects/~current/api-keys",
    docs_url="https://docs.together.ai/docs/fine-tuning/overview",
    notice=(
        "A tuned model answers only while it is deployed, which is paid by the minute: about $5.49 an hour for one "
        "H100. Tunebook stops the deployment after the predictions; Together itself stops it after 30 idle minutes."
    ),
    undisclosed=("optimiser", "precision", "items in a packed batch"),
    returns_weights=True,
    connect=Api,
    check_key=chat.check_key,
    list_models=offers.list_models,
    offers=offers.OFFERS,
    look_at_model=offers.look_at_model,
    training=Training(
        methods=("sft", "dpo"),
        identity="the suffix of the model's name",
        list_note="The list takes no filter and is read whole; how soon a new job stands in it is not published.",
        hyperparameters=fields.hyperparameters,
        suggest=fields.suggest,
        problems=offers.problems,
        estimate=offers.estimate,
        render=_rows.render,
        upload=jobs.upload,
        look_at_file=jobs.look_at_file,
        quote=jobs.quote,
        check=offers.check,
        submit=jobs.submit,
        find=jobs.find,
        list_jobs=jobs.list_jobs,
        poll=jobs.poll,
        cancel=jobs.cancel,
        logs=jobs.logs,
        metrics=jobs.metrics,
        fetch_weights=weights.fetch_weights,
        fetch_records=weights.fetch_records,
    ),
    chat=Chat(ask=chat.ask, top_logprobs=chat.TOP_LOGPROBS, request=chat.request),
    batch=chat.BATCH,
    deploy=Deploy(
        create=serving.create,
        advance=serving.advance,
        find=serving.find,
        poll=serving.poll,
        stop=serving.stop,
        list_running=serving.list_running,
        idle_minutes=serving.IDLE_MINUTES,
    ),
)
