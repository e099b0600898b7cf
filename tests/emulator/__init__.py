"""Emulated services: real HTTP, state, real time, faults, counters of creates and money. Not part of the product.

In a test: `with emulator() as world:` gives a World (_world.py); `world.url("openai", "/v1")` is a base URL, any key is
good until `world.refused_keys` holds it; `world.fail("openai POST /v1/files", 500)` sets a fault, `world.speed = 1000`
or `world.advance(60)` makes jobs go on, `world.count_made("openai", "job")`, `world.duplicates()` and
`world.microdollars` say what happened. As a process: `python -m tests.emulator --port 9000`, driven below /_emulator/
(_control.py); --settings prints the TUNEBOOK_... settings that point Tunebook at it.

A new service is one file tests/emulator/<name>.py with SERVICE = Service("<name>", "/<base path>"). Its routes are
functions of a Call (_service.py):

    @SERVICE.route("POST", "/v1/jobs", body=sdk.CreateJobParams)     # a type of its SDK, or a JSON schema (dict)
    def create(call):
        id = call.world.new_id("job-")
        call.made("job", id, call.json["suffix"])                    # counts creates; the launch key finds duplicates
        timeline = Timeline([("queued", 20), ("running", 300)], "succeeded", call.world.now())
        return public(call.put("job", id, {"id": id, "_timeline": timeline}))

`call.thing(kind, id)` gives one thing or a 404, `call.listed(kind)` those that the list shows by now (late if told),
`raise Problem(400, "...")` is a refusal in the service's own words (Service.error), `Answer(...)` sets status, headers
or a stream, `call.charge(dollars)` bills. Fields that begin with "_" stay inside (public()). Files, batches and chat in
OpenAI's shape are add_files, add_batches, add_chat of _openai.py, fine-tuning jobs add_jobs of _openai_jobs.py; what a
tuned model answers comes from pupil_of(files) of _answers.py, kept as "_pupil" of a thing of kind "model". Presigned
addresses are world.put_blob() and world.upload_url().
"""

from tests.emulator._server import emulator as emulator
