"""Fireworks AI: LoRA training of open models, test answers by batch without a deployment, weights."""

from app.providers import _rows
from app.providers._base import Chat, Deploy, Field, Provider, Repeat, Training
from app.providers.fireworks import datasets, deployments, fields, jobs, names, offers, serving
from app.service_http import Api

PROVIDER = Provider(
    name="fireworks",
    label="Fireworks",
    description="LoRA training of open models; tuned models answer batches without being deployed.",
    base_url=names.BASE_URL,
    key_help="https://app.fireworks.ai/settings/users/api-keys",
    docs_url="https://docs.fireworks.ai/fine-tuning/finetuning-intro",
    fields=(Field("account_id", "Account", "The name after accounts/ in the address of your models."),),
    notice="Fireworks takes no seed: two runs with the same values are not the same training.",
    undisclosed=("seed", "LoRA alpha", "LoRA dropout", "LoRA targets", "optimiser", "learning rate schedule"),
    returns_weights=True,
    connect=Api,
    check_key=offers.check_key,
    list_models=offers.list_models,
    offers=offers.OFFERS,
    look_at_model=offers.look_at_model,
    training=Training(
        methods=("sft", "dpo"),
        identity="the job's id",
        repeat=Repeat.OWN_ID,
        list_note="A job is asked for by its id, not looked for in a list.",
        hyperparameters=fields.hyperparameters,
        suggest=fields.suggest,
        problems=fields.problems,
        estimate=fields.estimate,
        render=_rows.render,
        upload=datasets.upload,
        look_at_file=datasets.look_at,
        quote=jobs.quote,
        check=offers.check,
        submit=jobs.submit,
        find=jobs.find,
        list_jobs=jobs.list_jobs,
        poll=jobs.poll,
        cancel=jobs.cancel,
        logs=jobs.logs,
        metrics=jobs.metrics,
        fetch_weights=serving.fetch_weights,
        fetch_records=jobs.fetch_records,
    ),
    chat=Chat(ask=serving.ask, top_logprobs=serving.TOP_LOGPROBS, request=serving.request),
    batch=serving.BATCH,
    deploy=Deploy(
        create=deployments.create,
        find=deployments.find,
        poll=deployments.poll,
        stop=deployments.stop,
        list_running=deployments.list_running,
        idle_minutes=deployments.IDLE_MINUTES,
    ),
)
