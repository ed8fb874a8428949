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

    /// Where a request would go, and of every other route the first condition that does not hold.
    func explanation(of typed: TypedRequest, in circumstances: Circumstances) throws -> View {
        let request: RouteRequest
        do throws(CanonicalPath.Refusal) {
            request = try RouteRequest(typed.head, allowsEncodedSlash: configuration.allowsEncodedSlash)
        } catch {
            let sentence = "400: \(error)"
            return View(.text(sentence + "\n", json: ["status": 400, "because": .string("\(error)")]))
        }
        let rehearsal = try rehearse(request, in: circumstances)
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
