import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import RateLimiterEngine

/// The limiter's RESP port: `CL.THROTTLE` for any client of Redis, and `RL.TAKE` for other limiters.
///
/// ```
/// CL.THROTTLE key max_burst count period [quantity]
///   1) 0 or 1: refused       2) max_burst + 1     3) what is left
///   4) seconds until a retry passes; -1 if it was admitted      5) seconds until all is there again
/// ```
///
/// The command of the Redis module redis-cell, answer by answer, with one difference: seconds are rounded up, so that a
/// client that waits for what it was told gets in. (redis-cell cuts the fraction off, and says 0 where it means 0.9.)
final class ThrottleServer: RESPService {
    private unowned let host: RateLimiterHost
    private(set) var server: RESPServer!

    init(_ host: RateLimiterHost) {
        self.host = host
        let commands = [
            RESPCommand(
                "cl.throttle", arity: -5, [.write, .fast], keys: .one, group: "ratelimit", "Take from a key's quota"
            ) { [unowned self] in throttle($0, $1) },
            RESPCommand(
                "rl.take", arity: -5, [.write, .fast], group: "ratelimit", "Take under rules, for another limiter"
            ) { [unowned self] in take($0, $1) },
            RESPCommand(
                "rl.look", arity: -1, [.readOnly, .fast], group: "ratelimit", "Ask what rules would say"
            ) { [unowned self] in look($0, $1) },
        ]
        var options = RESPServerOptions()
        options.limits.bulkBytes = 1 << 20
        options.limits.requestBytes = 4 << 20
        options.limits.argumentCount = 1 + 4 * RateLimiterConfiguration.ruleLimit
        server = RESPServer(node: host.node, commands: commands, service: self, options: options)
    }

    private func throttle(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        guard arguments.count <= 6 else {
            return connection.reply.error("ERR wrong number of arguments for 'cl.throttle' command")
        }
        var numbers: [Int] = []
        for (index, name) in zip(2..., ["max_burst", "count per period", "period", "quantity"])
        where index < arguments.count {
            let lowest = name == "max_burst" || name == "quantity" ? 0 : 1
            guard let number = arguments.integer(index), (lowest...Quota.countLimit).contains(number) else {
                return connection.reply.error(
                    "ERR \(name) must be a whole number of \(lowest) to \(Quota.countLimit)")
            }
            numbers.append(number)
        }
        let quota: Quota
        do {
            quota = try Quota(numbers[1], per: .seconds(numbers[2]), burst: numbers[0] + 1)
        } catch {
            return connection.reply.error("ERR \(error)")
        }
        let assessment = host.engine.throttle(
            arguments.bytes(1), quota, cost: numbers.count > 3 ? numbers[3] : 1, now: host.node.world.now)
        connection.reply.array(5)
        connection.reply.integer(assessment.isAllowed ? 0 : 1)
        connection.reply.integer(assessment.limit)
        connection.reply.integer(assessment.remaining)
        connection.reply.integer(
            assessment.isAllowed || assessment.retryAfter == .infinite ? -1 : Self.seconds(assessment.retryAfter))
        connection.reply.integer(Self.seconds(assessment.resetAfter))
    }

    private static func seconds(_ duration: LabDuration) -> Int {
        Int((duration.nanoseconds + 999_999_999) / 1_000_000_000)
    }

    /// `RL.TAKE (rule key cost extra)…`: admitted by all rules or charged by none; of what each rule has left then, up
    /// to `extra` more is charged for the asker to spend. See `PeerStore`.
    private func take(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        guard (arguments.count - 1) % 4 == 0 else {
            return connection.reply.error("ERR wrong number of arguments for 'rl.take' command")
        }
        var charges: [RateLimiter.Charge] = []
        var extras: [Int] = []
        for start in stride(from: 1, to: arguments.count, by: 4) {
            guard let charge = charge(connection, arguments, start, besides: charges) else { return }
            guard let extra = arguments.integer(start + 3), (0...Quota.countLimit).contains(extra) else {
                return connection.reply.error("ERR cost and extra must be whole numbers")
            }
            charges.append(charge)
            extras.append(extra)
        }
        host.engine.take(charges, extras: extras, now: host.node.world.now).write(to: &connection.reply)
    }

    /// `RL.LOOK (rule key cost)…`: what each rule would say of such a request, in the form of `RL.TAKE`'s answer.
    /// Nothing is taken or counted.
    private func look(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        guard (arguments.count - 1) % 3 == 0 else {
            return connection.reply.error("ERR wrong number of arguments for 'rl.look' command")
        }
        var charges: [RateLimiter.Charge] = []
        for start in stride(from: 1, to: arguments.count, by: 3) {
            guard let charge = charge(connection, arguments, start, besides: charges) else { return }
            charges.append(charge)
        }
        let found = charges.map { host.engine.look($0, now: host.node.world.now) }
        PeerAnswer(assessments: found, granted: found.map { _ in 0 }).write(to: &connection.reply)
    }

    /// Reads `rule key cost`; nil, and an error is answered, where that makes no charge.
    private func charge(
        _ connection: RESPServerConnection, _ arguments: RESPArguments, _ start: Int,
        besides others: [RateLimiter.Charge]
    ) -> RateLimiter.Charge? {
        let rules = host.configuration.rules
        let name = arguments.text(start)
        guard let policy = rules.firstIndex(where: { $0.policy.name == name }) else {
            connection.reply.error(
                "ERR no rule '\(name.prefix(64))' here\(didYouMean(name, among: rules.map(\.policy.name)))")
            return nil
        }
        guard !others.contains(where: { $0.policy == policy }) else {
            connection.reply.error("ERR rule '\(name)' stands there twice")
            return nil
        }
        guard let cost = arguments.integer(start + 2), (0...Quota.countLimit).contains(cost) else {
            connection.reply.error("ERR cost and extra must be whole numbers")
            return nil
        }
        return .init(policy: policy, key: arguments.bytes(start + 1), cost: cost)
    }
}
