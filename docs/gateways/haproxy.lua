-- Asks ForwardAuth about each request: the action lua.session of haproxy.cfg.

local gate = "http://127.0.0.1:9100/auth"

-- What ForwardAuth says about the user, in place of what the request says. An
-- empty value removes the header. With HeaderTransport, add "authorization".
local identity = {
    "x-user-id", "x-user-session", "x-user-level", "x-user-auth-time", "x-user-assertion",
    "cookie", "x-session-id",
}

-- What of its other answers is for the client.
local answer = { "location", "set-cookie", "retry-after", "x-auth-reason", "content-type" }

-- What must not be sent on: it belongs to the connection or to the body.
local hop = {
    ["connection"] = true, ["upgrade"] = true, ["te"] = true, ["trailer"] = true, ["keep-alive"] = true,
    ["proxy-connection"] = true, ["transfer-encoding"] = true, ["content-length"] = true, ["expect"] = true,
}

local function first(headers, name)
    local values = headers[name]
    if values == nil then
        return nil
    end
    return values[0] or values[1]
end

-- The request's headers, whose values HAProxy counts from 0 and its client from 1.
local function request_headers(txn)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not hop[name] then
            headers[name] = {}
            for i = 0, #values do
                table.insert(headers[name], values[i])
            end
        end
    end
    return headers
end

local function refuse(txn, status, headers, body)
    local reply = txn:reply()
    reply:set_status(status)
    for _, name in ipairs(answer) do
        local value = first(headers, name)
        if value ~= nil then
            reply:add_header(name, value)
        end
    end
    reply:add_header("cache-control", "no-store")
    reply:set_body(body or "")
    txn:done(reply)
end

-- Whether the request says what ForwardAuth said. Near tune.bufsize there is no
-- room for another header, and req_set_header does not tell.
local function complete(txn, response)
    local headers = txn.http:req_get_headers()
    for _, name in ipairs(identity) do
        if (first(headers, name) or "") ~= (first(response.headers, name) or "") then
            return false
        end
    end
    return true
end

core.register_action("session", { "http-req" }, function(txn)
    local response = core.httpclient():get({ url = gate, headers = request_headers(txn), timeout = 5000 })
    if response == nil or response.status == nil or response.status < 200 then
        -- No answer: closed, not open.
        return refuse(txn, 503, { ["retry-after"] = { "5" } }, "Service Unavailable\n")
    end
    if response.status ~= 200 then
        return refuse(txn, response.status, response.headers, response.body)
    end
    for _, name in ipairs(identity) do
        local value = first(response.headers, name)
        if value == nil or value == "" then
            txn.http:req_del_header(name)
        else
            txn.http:req_set_header(name, value)
        end
    end
    if not complete(txn, response) then
        return refuse(txn, 431, {}, "Request Header Fields Too Large\n")
    end
    local cookie = first(response.headers, "set-cookie")
    if cookie ~= nil then
        txn:set_var("txn.session_cookie", cookie)
    end
end, 0)
