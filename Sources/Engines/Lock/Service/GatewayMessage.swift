import KernelCryptography
import KernelJSON
import KernelStructures
import LockEngine

/// A message of etcd's as its JSON gateway reads it (protobuf's JSON mapping): names in either spelling (`range_end`,
/// `rangeEnd`), 64-bit numbers as text or as numbers, bytes in base64, choices by name or number, nothing where a field
/// has its usual value. Unknown fields are passed over, as there.
struct GatewayMessage {
    private let cursor: JSONCursor

    init(_ cursor: JSONCursor) { self.cursor = cursor }

    func field(_ name: String) -> JSONCursor? {
        cursor[name].ifPresent ?? cursor[Self.camelCase(name)].ifPresent
    }

    private static func camelCase(_ name: String) -> String {
        let words = name.split(separator: "_")
        return words.dropFirst().reduce(into: words.first.map(String.init) ?? "") { text, word in
            text += word.prefix(1).uppercased() + word.dropFirst()
        }
    }

    func int64(_ name: String) throws(JSONTypeError) -> Int64 {
        guard let field = field(name) else { return 0 }
        if case .string(let text)? = field.value {
            guard let number = Int64(text) else {
                throw field.error("expected a whole number of 64 bits, not \"\(text)\"")
            }
            return number
        }
        return Int64(try field.integer())
    }

    func flag(_ name: String) throws(JSONTypeError) -> Bool { try field(name)?.bool() ?? false }

    func text(_ name: String) throws(JSONTypeError) -> String { try field(name)?.string() ?? "" }

    func bytes(_ name: String) throws(JSONTypeError) -> [UInt8] {
        guard let field = field(name) else { return [] }
        let text = try field.string()
        guard let bytes = Base64.standard.decode(text) ?? Base64.url.decode(text) else {
            throw field.error("expected base64, not \"\(text.prefix(40))\"")
        }
        return bytes
    }

    /// Text in base64, as names of locks and elections are sent.
    func name(_ name: String) throws(JSONTypeError) -> String {
        let bytes = try bytes(name)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw (field(name) ?? cursor).error("expected text in UTF-8")
        }
        return text
    }

    /// A choice by its name or its number, which is its place among the names.
    func choice(_ name: String, _ names: [String]) throws(JSONTypeError) -> Int {
        guard let field = field(name) else { return 0 }
        return try Self.choice(field, names)
    }

    static func choice(_ field: JSONCursor, _ names: [String]) throws(JSONTypeError) -> Int {
        if case .string(let text)? = field.value {
            guard let place = names.firstIndex(of: text.uppercased()) else {
                throw field.error("there are \(names.joined(separator: ", "))")
            }
            return place
        }
        return try field.integer(in: 0...names.count - 1)
    }

    func message(_ name: String) -> GatewayMessage? { field(name).map(GatewayMessage.init) }

    func messages(_ name: String) throws(JSONTypeError) -> [GatewayMessage] {
        try field(name)?.array().map(GatewayMessage.init) ?? []
    }

    /// One key, or a range of them.
    func range() throws(JSONTypeError) -> KeyRange { KeyRange(try bytes("key"), end: try bytes("range_end")) }
}

/// What is read out of a message.
extension GatewayMessage {
    func rangeRequest() throws(JSONTypeError) -> RangeRequest {
        var request = RangeRequest(try range())
        request.limit = try int64("limit")
        request.revision = try int64("revision")
        request.sortOrder = RangeRequest.SortOrder.allCases[try choice("sort_order", ["NONE", "ASCEND", "DESCEND"])]
        request.sortTarget =
            RangeRequest.SortTarget.allCases[
                try choice("sort_target", ["KEY", "VERSION", "CREATE", "MOD", "VALUE"])]
        request.isSerializable = try flag("serializable")
        request.keysOnly = try flag("keys_only")
        request.countOnly = try flag("count_only")
        request.minModRevision = try int64("min_mod_revision")
        request.maxModRevision = try int64("max_mod_revision")
        request.minCreateRevision = try int64("min_create_revision")
        request.maxCreateRevision = try int64("max_create_revision")
        return request
    }

    func put() throws(JSONTypeError) -> PutRequest {
        var request = PutRequest(try bytes("key"), try bytes("value"), lease: try int64("lease"))
        request.wantsPrevious = try flag("prev_kv")
        request.ignoresValue = try flag("ignore_value")
        request.ignoresLease = try flag("ignore_lease")
        return request
    }

    func delete() throws(JSONTypeError) -> DeleteRequest {
        var request = DeleteRequest(try range())
        request.wantsPrevious = try flag("prev_kv")
        return request
    }

    /// - Parameter depth: of transactions around this one; JSON's own limit of depth bounds it too.
    func transaction(depth: Int = 0) throws(JSONTypeError) -> TransactionRequest {
        guard depth < TransactionRequest.depthLimit else { throw cursor.error(StoreError.tooDeep.description) }
        var request = TransactionRequest()
        for one in try messages("compare") { request.comparisons.append(try one.comparison()) }
        for one in try messages("success") { request.success.append(try one.operation(depth: depth)) }
        for one in try messages("failure") { request.failure.append(try one.operation(depth: depth)) }
        return request
    }

    private func operation(depth: Int) throws(JSONTypeError) -> StoreOperation {
        if let put = message("request_put") { return .put(try put.put()) }
        if let range = message("request_range") { return .range(try range.rangeRequest()) }
        if let delete = message("request_delete_range") { return .delete(try delete.delete()) }
        if let inner = message("request_txn") { return .transaction(try inner.transaction(depth: depth + 1)) }
        throw cursor.error("expected request_put, request_range, request_delete_range or request_txn")
    }

    private func comparison() throws(JSONTypeError) -> KeyComparison {
        let relation = KeyComparison.Relation.allCases[try choice("result", ["EQUAL", "GREATER", "LESS", "NOT_EQUAL"])]
        let subject: KeyComparison.Subject =
            switch try choice("target", ["VERSION", "CREATE", "MOD", "VALUE", "LEASE"]) {
            case 0: .version(try int64("version"))
            case 1: .createRevision(try int64("create_revision"))
            case 2: .modRevision(try int64("mod_revision"))
            case 3: .value(try bytes("value"))
            default: .lease(try int64("lease"))
            }
        return KeyComparison(try range(), relation, subject)
    }

    /// The lab's own fields beside etcd's: one that is misspelt would be a lock of another kind than was meant.
    ///
    /// - Throws: `JSONTypeError` for a field that there is not.
    private func expectLockFields() throws(JSONTypeError) {
        let known = ["name", "lease", "owner", "kind", "permits"]
        for (name, value) in try cursor.members() where !known.contains(name) {
            let kind = ["EXCLUSIVE", "SHARED", "PERMIT"].first { $0 == name.uppercased() }
            let hint = kind.map { "; write \"kind\": \"\($0)\"" } ?? didYouMean(name, among: known)
            throw value.error("there is no such field of a lock (\(known.joined(separator: ", ")))\(hint)")
        }
    }

    /// How a lock is wanted: the lab's own fields beside etcd's.
    func lockWords() throws(JSONTypeError) -> LockWords {
        try expectLockFields()
        let owner = try text("owner")
        var words = LockWords(owner: owner.isEmpty ? nil : owner)
        switch try choice("kind", ["EXCLUSIVE", "SHARED", "PERMIT"]) {
        case 1: words.kind = .shared
        case 2:
            guard let permits = field("permits") else {
                throw cursor.error("a permit needs permits, how many there are")
            }
            words.kind = .permit(of: try permits.integer(in: 1...LockKind.permitLimit))
        default: break
        }
        return words
    }
}
