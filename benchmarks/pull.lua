-- Asks in turn for each of the paths that stand behind the URL.
local requests, number = {}, 0

function init(paths)
  for position, path in ipairs(paths) do
    requests[position] = wrk.format(nil, path)
  end
end

function request()
  number = number % #requests + 1
  return requests[number]
end
