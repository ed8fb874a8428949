import CommandKit
import CommandServices
import GatewayEngine
import GatewayService
import KernelJSON
import KernelStructures
import KernelWire
import ShellSession

extension GatewayHost: Explaining {
    package func explanation(of words: [String], in session: Session) throws -> View? {
        guard let text = words.last, text.hasPrefix("curl ") else { return nil }
        if words.count == 2, words[0].lowercased() != node.name.lowercased() { return nil }
        return try explanation(of: try TypedRequest(text, session), in: Circumstances())
    }

    /// Why the request that was typed would not come here at all; nil if it would. Names that the lab does not have may
    /// be anybody's who has this gateway in front.
    private func detour(of url: HTTPURL) -> String? {
        if let other = node.world.nodes[url.host.lowercased()], other !== node {
            return "curl would ask \(other.name); this is what \(node.name) would do with it"
        }
        let ports = listeningPorts.map { "\($0.port)" }.joined(separator: " and ")
        guard let listener = listeningPorts.first(where: { $0.port == url.port }) else {
            return "nothing of \(node.name) listens on port \(url.port); it has \(ports)"
        }
        guard listener.isSecure != (url.scheme == .https) else { return nil }
        return "port \(listener.port) speaks \(listener.isSecure ? "TLS: write https://" : "no TLS: write http://")"
    }

    /// Where a request would go, and of every other route the first condition that does not hold.
    func explanation(of typed: TypedRequest, in circumstances: Circumstances) throws -> View {
        let request: RouteRequest
        do throws(CanonicalPath.Refusal) {
            request = try RouteRequest(typed.head, allowsEncodedSlash: configuration.allowsEncodedSlash)
        } catch {
            let sentence = "400: \(error)"
            return View(.text(sentence + "\n", json: ["status": 400, "because": .string("\(error)")]))
        }
        let note = detour(of: typed.url).map { [(name: "note", text: $0)] } ?? []
        let steps = try rehearse(request, in: circumstances)
        let rehearsal = note + steps.map { (name: $0.name, text: $0.text) }
        let fields = rehearsal.map { View.Field($0.name, key: $0.name, .init($0.text, json: .string($0.text))) }
        let verdicts = engine.table.explain(request)
        let rows = verdicts.map { verdict -> [View.Cell] in
            let result: View.Cell =
                verdict.isChosen
                ? .text("chosen", style: .good) : .text(verdict.failure?.rawValue ?? "fits", style: .faint)
            return [.text(verdict.route), result, .text(verdict.text)]
        }
        return View(
            .record(fields),
            .table(
                .init(
                    [
                        .init("ROUTE", key: "route", flexible: true), .init("RESULT", key: "result"),
                        .init("WHY", key: "why", flexible: true),
                    ], rows: rows, whenEmpty: "no routes")))
    }
}
