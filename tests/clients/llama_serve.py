"""The HTTP server of llama.cpp that the wheel `xllamacpp` brings, with a model: `llama_serve.py MODEL SLOTS BATCH`. Tells its address."""

import sys
import time

import xllamacpp

model, slots, batch = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = model
params.model_alias = {"table"}
params.port = 0
params.n_parallel = int(slots)
params.n_ctx = 65536
params.n_batch = params.n_ubatch = int(batch)
params.use_jinja = params.endpoint_slots = True
params.warmup = False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print(f"listening on {server.listening_address}", flush=True)
while True:
    time.sleep(60)
