import RateLimiterEngine

/// The decision as Redis makes it: one Lua script, which Redis runs without anything else in between.
///
/// ## Why a script
///
/// "Read the count, compare, write it back" from two limiters at once admits two for the price of one. `INCR` alone is
/// atomic, but `INCR` and then `EXPIRE` is two commands: a limiter that dies between them leaves a count that never
/// ends, and a client that is locked out for good. In a script both are one step, and so are several policies at once:
/// first all are looked at, then all are charged, or none.
///
/// ## Time and numbers
///
/// The time is Redis's own (`TIME`), so limiters whose clocks disagree agree all the same. Lua counts in doubles, which
/// are exact for whole numbers up to 2^53: microseconds, and units chosen so that they stay below (`RedisStore` refuses
/// quotas that would not). Every key is written together with its time to live.
///
/// ```
/// KEYS   one a policy
/// ARGV   nine a policy: kind, count, period (µs), burst, cost, units a token, units a µs, entries of the log, shadow
///        (0 no, 1 yes, 2 only look: nothing is taken)
/// reply  five a policy: allowed, remaining, retry after (µs, −1 for never), reset after (µs), delay (µs)
/// ```
package enum RedisScript {
    /// Numbers of `ARGV` a policy.
    package static let argumentCount = 9
    package static let replyCount = 5

    package static let source = """
        local t = redis.call('TIME')
        local now = t[1] * 1000000 + t[2]
        local function num(x) return string.format('%.0f', x) end
        local function ceil(a, b) return math.floor((a + b - 1) / b) end
        local plans, reply, admitted = {}, {}, true

        -- Token bucket, GCRA and leaky bucket: what is there, in units, and when that was.
        local function bucket(key, p)
          local full, level, at = p.burst * p.upt, p.burst * p.upt, now
          local stored = redis.call('GET', key)
          if stored then
            local l, a = string.match(stored, '^(%d+):(%d+)$')
            level, at = math.min(tonumber(l), full), tonumber(a)
          end
          local elapsed = now - at
          if elapsed > 0 then
            if elapsed >= ceil(full - level, p.upu) then level = full else level = level + elapsed * p.upu end
            at = now
          end
          local need = p.cost * p.upt
          local allowed = level >= need
          local left = level
          if allowed then left = level - need end
          local retry = 0
          if p.cost > p.burst then retry = -1 elseif not allowed then retry = ceil(need - level, p.upu) end
          local delay = 0
          if allowed and p.kind == 'q' then delay = ceil(full - level, p.upu) end
          local reset = ceil(full - left, p.upu)
          return {allowed, math.floor(left / p.upt), retry, reset, delay}, function()
            redis.call('SET', key, num(left) .. ':' .. num(at), 'PX', ceil(reset, 1000) + 1000)
          end
        end

        -- Fixed window: a counter for each window, which expires with it.
        local function window(key, p)
          local start = now - now % p.period
          local name = key .. ':' .. num(start)
          local count = tonumber(redis.call('GET', name) or '0')
          local allowed = count + p.cost <= p.count
          local left = p.count - count
          if allowed then left = left - p.cost end
          local rest = start + p.period - now
          local retry = 0
          if p.cost > p.count then retry = -1 elseif not allowed then retry = rest end
          local reset = rest
          if left >= p.count then reset = 0 end
          return {allowed, math.max(0, left), retry, reset, 0}, function()
            redis.call('INCRBY', name, p.cost)
            redis.call('PEXPIREAT', name, num(ceil(start + p.period, 1000)))
          end
        end

        -- How far into a window the weighted count of the one before leaves that much room.
        local function offset(previous, room, period)
          if room < 0 then return nil end
          if previous <= room then return 0 end
          return period - math.floor(room * period / previous)
        end

        -- Sliding counter: this window's count and the one before it.
        local function counter(key, p)
          local start, current, previous = now - now % p.period, 0, 0
          local stored = redis.call('GET', key)
          if stored then
            local s, c, v = string.match(stored, '^(%d+):(%d+):(%d+)$')
            s, c, v = tonumber(s), tonumber(c), tonumber(v)
            if now - s < p.period then start, current, previous = s, c, v
            elseif now - s < 2 * p.period then start, previous = s + p.period, c end
          end
          local into = math.max(0, now - start)
          local used = previous * (p.period - into) + current * p.period
          local allowed = used + p.cost * p.period <= p.count * p.period
          local retry = 0
          if p.cost > p.count then retry = -1
          elseif not allowed then
            local here = offset(previous, p.count - current - p.cost, p.period)
            if here then retry = start + here - now
            else retry = start + p.period + (offset(current, p.count - p.cost, p.period) or p.period) - now end
          end
          if allowed then
            used = used + p.cost * p.period
            current = current + p.cost
          end
          local reset = 0
          if current > 0 then reset = start + 2 * p.period - now
          elseif used > 0 then reset = start + p.period - now end
          local left = math.max(0, math.floor((p.count * p.period - used) / p.period))
          return {allowed, left, retry, reset, 0}, function()
            local text = num(start) .. ':' .. num(current) .. ':' .. num(previous)
            redis.call('SET', key, text, 'PX', ceil(2 * p.period, 1000) + 1000)
          end
        end

        -- Sliding log: a list of entries first:last:count, oldest first, those within a grain together.
        local function log(key, p)
          local entries, over, used = redis.call('LRANGE', key, 0, -1), 0, 0
          local live = {}
          for _, text in ipairs(entries) do
            local f, l, c = string.match(text, '^(%d+):(%d+):(%d+)$')
            f, l, c = tonumber(f), tonumber(l), tonumber(c)
            if l + p.period <= now and #live == 0 then over = over + 1
            else
              used = used + c
              live[#live + 1] = {f, l, c}
            end
          end
          local allowed = used + p.cost <= p.count
          local retry = 0
          if p.cost > p.count then retry = -1
          elseif not allowed then
            local freed, needed = 0, used + p.cost - p.count
            for _, entry in ipairs(live) do
              freed = freed + entry[3]
              if freed >= needed then
                retry = entry[2] + p.period - now
                break
              end
            end
          end
          local last = live[#live]
          local reset = 0
          if allowed then reset = p.period elseif last then reset = last[2] + p.period - now end
          local left = p.count - used
          if allowed then left = left - p.cost end
          return {allowed, math.max(0, left), retry, reset, 0}, function()
            for _ = 1, over do redis.call('LPOP', key) end
            local time, grain = now, 0
            if last then time = math.max(now, last[2]) end
            if p.count > p.entries then grain = ceil(p.period, p.entries) end
            if last and (last[2] == time or time - last[1] < grain) then
              redis.call('LSET', key, -1, num(last[1]) .. ':' .. num(time) .. ':' .. num(last[3] + p.cost))
            else
              redis.call('RPUSH', key, num(time) .. ':' .. num(time) .. ':' .. num(p.cost))
            end
            redis.call('PEXPIRE', key, ceil(p.period, 1000) + 1000)
          end
        end

        local kinds = {b = bucket, q = bucket, w = window, c = counter, l = log}
        for i, key in ipairs(KEYS) do
          local a = (i - 1) * 9
          local p = {kind = ARGV[a + 1]}
          for j, name in ipairs({'count', 'period', 'burst', 'cost', 'upt', 'upu', 'entries', 'shadow'}) do
            p[name] = tonumber(ARGV[a + 1 + j])
          end
          local found, commit = kinds[p.kind](key, p)
          if not found[1] and p.shadow == 0 then admitted = false end
          plans[i] = {found[1], commit, p.shadow < 2 and p.cost or 0}
          reply[#reply + 1] = found[1] and 1 or 0
          for j = 2, 5 do reply[#reply + 1] = found[j] end
        end
        if admitted then
          for _, plan in ipairs(plans) do
            if plan[1] and plan[3] > 0 then plan[2]() end
          end
        end
        return reply
        """
}
