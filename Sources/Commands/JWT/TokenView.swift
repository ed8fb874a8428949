import CommandKit
import KernelJSON
import KernelJWT
import KernelStructures
import ShellSession

/// A token as a person looks at it.
struct TokenView {
    private let token: [UInt8]

    init(_ text: String) {
        let text = text.hasPrefix("Bearer ") ? text.dropFirst("Bearer ".count) : text[...]
        token = Array(text.utf8)
    }

    enum Verdict {
        case accepted(by: String?)
        case refused(JWTFailure)

        var failure: JWTFailure? { if case .refused(let failure) = self { failure } else { nil } }
    }

    func judge(_ keys: JWKSet, _ policy: JWTPolicy, now: LabTime) -> Verdict {
        do throws(JWTFailure) {
            return .accepted(by: try JWTVerification.verify(token, keys: keys, policy: policy, now: now).keyID)
        } catch {
            return .refused(error)
        }
    }

    /// - Parameter verdict: nil: nobody has verified it.
    func view(_ verdict: Verdict?, now: LabTime) throws(CommandFailure) -> View {
        let jws: JWS
        let claims: JWTClaims
        do {
            jws = try JWS(compact: token)
            claims = try JWTClaims(parsing: jws.payload)
        } catch let failure as JWTFailure {
            throw CommandFailure("\(failure)")
        } catch {
            throw CommandFailure("this is no token: \(error)")
        }
        let header = jws.entries[0].header
        var fields = [View.Field("header", key: "header", .init(header.text, json: header))]
        if case .object(let members) = claims.json {
            for (name, value) in members { fields.append(.init(name, key: name, .init(value.text, json: value))) }
        }
        var times: [(key: String, value: JSONValue)] = []
        for (name, key, time) in [
            ("issued", "issued_at", claims.issuedAt), ("valid from", "not_before", claims.notBefore),
            ("expires", "expires_at", claims.expiresAt),
        ] {
            guard let time else { continue }
            fields.append(.init(name, key: key, .text("\(time)\(Self.distance(time, now))")))
            times.append((key, .string("\(time)")))
        }
        let cell = Self.cell(verdict)
        fields.append(.init("verdict", key: "verdict", cell))
        var view = View(.record(fields))
        view.json = .object([("header", header), ("claims", claims.json)] + times + [("verdict", cell.json)])
        return view
    }

    /// ` (in 5m)`
    private static func distance(_ time: LabTime, _ now: LabTime) -> String {
        let distance = time - now
        if distance == .zero { return " (now)" }
        return distance > .zero ? " (in \(distance))" : " (\(LabDuration.zero - distance) ago)"
    }

    private static func cell(_ verdict: Verdict?) -> View.Cell {
        switch verdict {
        case nil: .init("not verified: no keys were given", json: .null, style: .warning)
        case .accepted(let key)?: .init("accepted\(key.map { ", key \($0)" } ?? "")", json: "accepted", style: .good)
        case .refused(let failure)?:
            .init(
                "refused: \(failure)", json: ["reason": .string(failure.reason), "problem": .string("\(failure)")],
                style: .bad)
        }
    }
}
