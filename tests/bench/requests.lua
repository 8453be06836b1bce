-- The requests of one run, for wrk. BENCH_PLAN names a Lua file that returns the plan (plans.py):
--   method, headers, paths, bodies   a request takes one of each at random; "@@" in a body becomes
--                                    a text that no other request has (`mark` and a count)
--   changing                         or: documents that change at each request, {path, header,
--                                    version}; `id` and `version` are patterns for the answer
local plan = dofile(os.getenv("BENCH_PLAN"))
local made = 0

math.randomseed(plan.seed)

local function any(list)
  return list[math.random(#list)]
end

if plan.changing then
  -- A queue: each document waits until all others had their turn, so none is changed twice at once.
  local waiting, first, last, by_id = {}, 1, 0, {}

  local function queue(document)
    last = last + 1
    waiting[last] = document
  end

  for _, document in ipairs(plan.changing) do
    by_id[document.id] = document
    queue(document)
  end

  function request()
    local document = waiting[first]
    waiting[first] = nil
    first = first + 1
    made = made + 1
    plan.headers["Authorization"] = document.authorization
    plan.headers["If-Match"] = document.version
    local body = any(plan.bodies):gsub("@@", plan.mark .. made)
    return wrk.format(plan.method, document.path, plan.headers, body)
  end

  function response(status, headers, body)
    local id, version = body:match(plan.id), body:match(plan.version)
    if by_id[id] and version then
      by_id[id].version = '"' .. version .. '"'
      queue(by_id[id])
    end
  end
else
  function request()
    made = made + 1
    local body = plan.bodies and any(plan.bodies):gsub("@@", plan.mark .. made) or nil
    return wrk.format(plan.method, any(plan.paths), plan.headers, body)
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%f,"failed":%d,"broken":%d,"p50":%f,"p99":%f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
