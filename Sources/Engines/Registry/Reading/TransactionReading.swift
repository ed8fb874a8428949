import KernelCryptography
import KernelJSON

extension RegistrationReading {
    /// The body of `/v1/txn`: an array of operations.
    public func transaction(_ body: JSONValue) throws(RegistryError) -> [TransactionOperation] {
        let elements = try LooseObject.checked { () throws(JSONTypeError) in try JSONCursor(body).array() }
        guard elements.count <= RegistryLimits.transactionOperations else {
            throw RegistryError(
                .full, "a transaction has at most \(RegistryLimits.transactionOperations) operations")
        }
        var operations: [TransactionOperation] = []
        for element in elements { operations.append(try operation(try LooseObject(element))) }
        return operations
    }

    private func operation(_ object: LooseObject) throws(RegistryError) -> TransactionOperation {
        if let key = try object.object("KV") { return try keyOperation(key) }
        if let node = try object.object("Node") {
            return try catalogOperation(node) { node throws(RegistryError) in
                let inner = try node.object("Node") ?? node
                let name = try inner.text("Node", or: "Name") ?? ""
                return (
                    .register(
                        node: CatalogNode(name: name, address: try inner.text("Address") ?? ""), instance: nil,
                        checks: []), .deregister(node: name, instance: nil, check: nil, unlessAfter: nil)
                )
            }
        }
        if let service = try object.object("Service") {
            return try catalogOperation(service) { service throws(RegistryError) in
                let node = try service.text("Node") ?? settings.node
                guard let inner = try service.object("Service") else {
                    throw service.error("Service", "the service itself is missing")
                }
                let (instance, _) = try self.service(inner.cursor.value ?? .null, caller: "")
                let id = instance.id.isEmpty ? instance.name : instance.id
                var named = instance
                named.node = node
                named.id = id
                return (
                    .register(node: CatalogNode(name: node, address: ""), instance: named, checks: []),
                    .deregister(node: node, instance: id, check: nil, unlessAfter: nil)
                )
            }
        }
        throw RegistryError(
            .malformed, "\(object.cursor.path): what is to be done?", remedy: "add \"KV\", \"Node\" or \"Service\"")
    }

    private func catalogOperation(
        _ object: LooseObject,
        _ commands: (LooseObject) throws(RegistryError) -> (set: RegistryCommand, delete: RegistryCommand)
    ) throws(RegistryError) -> TransactionOperation {
        let verb = try object.text("Verb") ?? ""
        let (set, delete) = try commands(object)
        switch verb {
        case "set": return .catalog(set)
        case "delete": return .catalog(delete)
        default: throw object.error("Verb", "'\(verb)' is neither set nor delete")
        }
    }

    private func keyOperation(_ object: LooseObject) throws(RegistryError) -> TransactionOperation {
        let verb = try object.text("Verb") ?? ""
        let key = try object.text("Key", limitBytes: RegistryLimits.keyBytes) ?? ""
        let text = try object.text("Value", limitBytes: RegistryLimits.valueBytes * 2) ?? ""
        guard let value = Base64.standard.decode(text) else { throw object.error("Value", "this is no base64") }
        let flags = UInt64(try object.integer("Flags", in: 0...Int.max) ?? 0)
        let index = UInt64(try object.integer("Index", in: 0...Int.max) ?? 0)
        let session = try object.text("Session") ?? ""
        switch verb {
        case "set": return .key(.set(key: key, value: value, flags: flags))
        case "cas": return .key(.compareAndSet(key: key, value: value, flags: flags, index: index))
        case "lock": return .key(.acquire(key: key, value: value, flags: flags, session: session))
        case "unlock": return .key(.release(key: key, value: value, flags: flags, session: session))
        case "delete": return .key(.delete(key: key))
        case "delete-cas": return .key(.compareAndDelete(key: key, index: index))
        case "delete-tree": return .key(.deleteTree(prefix: key))
        case "get": return .get(key: key)
        case "get-tree": return .getTree(prefix: key)
        case "check-index": return .checkIndex(key: key, index: index)
        case "check-session": return .checkSession(key: key, session: session)
        case "check-not-exists": return .checkNotExists(key: key)
        default:
            throw object.error(
                "Verb", "'\(verb)' is no verb",
                remedy: "there are set, cas, lock, unlock, delete, delete-cas, delete-tree, get, get-tree, "
                    + "check-index, check-session, check-not-exists")
        }
    }
}
