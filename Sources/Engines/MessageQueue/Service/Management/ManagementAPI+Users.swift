import KernelAMQP
import KernelCryptography
import KernelHosting
import KernelJSON
import MessageQueueEngine

/// Users, virtual hosts and permissions.
extension ManagementAPI {
    func mountUsers(on router: HTTPRouter) {
        route(router, "GET", "/api/whoami") { call in
            call.exchange.answer(json: [
                "name": .string(call.user.name), "tags": .array(call.user.tags.map { .string($0) }),
            ])
        }
        list(router, "/api/users", needs: .administrator) { [self] _ in users.sortedUsers.map { Self.json($0) } }
        list(router, "/api/users/without-permissions", needs: .administrator) { [self] _ in
            let known = Set(users.sortedPermissions.map(\.user))
            return users.sortedUsers.filter { !known.contains($0.name) }.map { Self.json($0) }
        }
        route(router, "GET", "/api/users/{name}", needs: .administrator) { [self] call in
            guard let user = users.user(call.parameter("name")) else { throw Self.notFound }
            call.exchange.answer(json: Self.json(user))
        }
        route(router, "PUT", "/api/users/{name}", needs: .administrator) { [self] call in
            let name = call.parameter("name")
            let isNew = users.user(name) == nil
            try setUser(name, try call.object())
            answer(call, isNew: isNew)
        }
        route(router, "DELETE", "/api/users/{name}", needs: .administrator) { [self] call in
            guard users.removeUser(call.parameter("name")) else { throw Self.notFound }
            call.exchange.answer(204)
        }
        list(router, "/api/users/{name}/permissions", needs: .administrator) { [self] call in
            guard users.user(call.parameter("name")) != nil else { throw Self.notFound }
            return users.sortedPermissions.filter { $0.user == call.parameter("name") }.map { Self.json($0) }
        }
        mountPermissions(on: router)
        mountVirtualHosts(on: router)
    }

    /// - Throws: `HTTPProblem` 400.
    func setUser(_ name: String, _ body: JSONValue) throws {
        guard !name.isEmpty, name.utf8.count <= 255 else {
            throw Self.problem(400, "bad_request", "a user's name has 1 to 255 bytes")
        }
        var tags: [String]
        switch body["tags"] {
        case .string(let text)?:
            tags = text.split(separator: ",").map { $0.split(separator: " ").joined(separator: " ") }
        case .array(let elements)?: tags = elements.compactMap(\.word)
        default: throw Self.problem(400, "bad_request", "key_missing: tags")
        }
        tags.removeAll(where: \.isEmpty)
        let algorithm = BrokerUsers.Algorithm(rawValue: body["hashing_algorithm"]?.word ?? "") ?? .sha256
        if let hash = body["password_hash"]?.word {
            let isHash = hash.isEmpty || (Base64.standard.decode(hash)?.count ?? 0) == 4 + algorithm.digest.byteCount
            guard isHash else { throw Self.problem(400, "bad_request", "password_hash: not of \(algorithm.rawValue)") }
            users.set(.init(name: name, passwordHash: hash, algorithm: algorithm, tags: tags))
        } else if let password = body["password"]?.word {
            users.set(name, password: password, tags: tags, algorithm: algorithm)
        } else if let user = users.user(name) {
            users.set(.init(name: name, passwordHash: user.passwordHash, algorithm: user.algorithm, tags: tags))
        } else {
            throw Self.problem(400, "bad_request", "key_missing: password")
        }
    }

    static func json(_ user: BrokerUsers.User) -> JSONValue {
        [
            "name": .string(user.name), "password_hash": .string(user.passwordHash),
            "hashing_algorithm": .string(user.algorithm.rawValue), "tags": .array(user.tags.map { .string($0) }),
            "limits": [:],
        ]
    }

    // MARK: Permissions

    private func mountPermissions(on router: HTTPRouter) {
        list(router, "/api/permissions", needs: .administrator) { [self] _ in
            users.sortedPermissions.map { Self.json($0) }
        }
        list(router, "/api/topic-permissions", needs: .administrator) { _ in [] }
        route(router, "GET", "/api/permissions/{vhost}/{user}", needs: .administrator) { [self] call in
            let (host, user) = (call.parameter("vhost"), call.parameter("user"))
            guard let permission = users.permission(of: user, in: host) else { throw Self.notFound }
            call.exchange.answer(json: Self.json((host, user, permission)))
        }
        route(router, "PUT", "/api/permissions/{vhost}/{user}", needs: .administrator) { [self] call in
            let (host, user) = (call.parameter("vhost"), call.parameter("user"))
            let isNew = users.permission(of: user, in: host) == nil
            try setPermission(of: user, in: host, try call.object())
            answer(call, isNew: isNew)
        }
        route(router, "DELETE", "/api/permissions/{vhost}/{user}", needs: .administrator) { [self] call in
            guard users.removePermission(of: call.parameter("user"), in: call.parameter("vhost")) else {
                throw Self.notFound
            }
            call.exchange.answer(204)
        }
        list(router, "/api/vhosts/{vhost}/permissions", needs: .administrator) { [self] call in
            let host = try virtualHost(call)
            return users.sortedPermissions.filter { $0.host == host.name }.map { Self.json($0) }
        }
    }

    /// - Throws: `HTTPProblem` 400.
    func setPermission(of user: String, in host: String, _ body: JSONValue) throws {
        guard broker.virtualHosts[host] != nil else {
            throw Self.problem(400, "bad_request", "vhost '\(host)' not found")
        }
        guard users.user(user) != nil else { throw Self.problem(400, "bad_request", "user '\(user)' not found") }
        let patterns = try ["configure", "write", "read"].map { name in
            guard let text = body[name]?.word else { throw Self.problem(400, "bad_request", "key_missing: \(name)") }
            return text
        }
        do {
            let permission = try BrokerUsers.Permission(configure: patterns[0], write: patterns[1], read: patterns[2])
            users.set(permission, for: user, in: host)
        } catch {
            throw Self.problem(400, "bad_request", "\(error)")
        }
    }

    static func json(_ entry: (host: String, user: String, permission: BrokerUsers.Permission)) -> JSONValue {
        [
            "user": .string(entry.user), "vhost": .string(entry.host), "configure": .string(entry.permission.configure),
            "write": .string(entry.permission.write), "read": .string(entry.permission.read),
        ]
    }

    // MARK: Virtual hosts

    private func mountVirtualHosts(on router: HTTPRouter) {
        list(router, "/api/vhosts") { [self] call in virtualHosts(call).map(json) }
        route(router, "GET", "/api/vhosts/{vhost}") { [self] call in
            call.exchange.answer(json: json(try virtualHost(call)))
        }
        route(router, "PUT", "/api/vhosts/{vhost}", needs: .administrator) { [self] call in
            let name = call.parameter("vhost")
            let isNew = broker.virtualHosts[name] == nil
            try addVirtualHost(name)
            answer(call, isNew: isNew)
        }
        route(router, "DELETE", "/api/vhosts/{vhost}", needs: .administrator) { [self] call in
            let name = call.parameter("vhost")
            guard broker.virtualHosts[name] != nil else { throw Self.notFound }
            try broker.removeVirtualHost(name, now: now)
            users.forget(virtualHost: name)
            call.exchange.answer(204)
        }
    }

    func addVirtualHost(_ name: String) throws {
        guard !name.isEmpty, name.utf8.count <= 255 else {
            throw Self.problem(400, "bad_request", "a virtual host's name has 1 to 255 bytes")
        }
        try broker.addVirtualHost(name)
        guard broker.virtualHosts[name] != nil else { throw Self.problem(400, "bad_request", "too many virtual hosts") }
    }

    func json(_ host: VirtualHost) -> JSONValue {
        let queues = host.queues.values
        let ready = queues.reduce(0) { $0 + $1.readyCount }
        let unacked = queues.reduce(0) { $0 + $1.heldCount }
        return [
            "name": .string(host.name), "description": "", "tags": [], "tracing": false,
            "cluster_state": .object([(broker.settings.nodeName, .string("running"))]),
            "messages": .integer(ready + unacked),
            "messages_ready": .integer(ready), "messages_unacknowledged": .integer(unacked),
        ]
    }
}
