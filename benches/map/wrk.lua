-- Goes through the addresses of the file in $BENCH_ADDRESSES, one a line, again and again; prints exact figures at the end.
local requests, at = {}, 0

function init(arguments)
   local token = os.getenv("BENCH_TOKEN")
   if token then wrk.headers["Authorization"] = "Bearer " .. token end
   for line in io.lines(os.getenv("BENCH_ADDRESSES")) do
      requests[#requests + 1] = wrk.format("GET", line)
   end
end

function request()
   at = at % #requests + 1
   return requests[at]
end

function done(summary, latency, counts)
   local errors = summary.errors
   io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration, summary.bytes,
      latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
