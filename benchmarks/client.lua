-- wrk's script: every thread is one client with one connection. It sends its own bodies in turn, and compares every
-- answer with what it is to be. Arguments: folder, media type, pause in ms between requests, method, path.
local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text
end

function init(args)
  folder, media_type, pause = args[1], args[2], tonumber(args[3])
  wrk.method, wrk.path = args[4], args[5]
  wrk.headers["Content-Type"] = media_type
  requests, answers, at = {}, {}, 0
  good, wrong, refused = 0, 0, 0
  if pause > 0 then delay = function() return pause end end
  while true do
    local name = string.format("%s/%d.%d", folder, number, #requests)
    local body = read(name .. ".body")
    if not body then break end
    table.insert(requests, wrk.format(nil, nil, nil, body))
    table.insert(answers, read(name .. ".answer"))
  end
  if #requests == 0 then requests = { wrk.format() } end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function response(status, headers, body)
  if status < 200 or status > 299 then
    refused = refused + 1
  elseif answers[at] and body ~= answers[at] then
    wrong = wrong + 1
  else
    good = good + 1
  end
end

function done(summary, latency, requests)
  local sums = { good = 0, wrong = 0, refused = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(sums) do sums[name] = sums[name] + thread:get(name) end
  end
  local errors = summary.errors
  io.write(string.format(
    '{"good": %d, "wrong": %d, "refused": %d, "broken": %d, "seconds": %f, "p50": %f, "p99": %f}\n',
    sums.good, sums.wrong, sums.refused, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
