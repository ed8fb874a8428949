import KernelHosting
import KernelStructures
import KernelWire
import ShortenerEngine

/// What browsers ask for and memory did not have: redirects by way of the database, previews, and the pixel that
/// counts.
final class VisitRoutes {
    unowned let host: ShortenerHost

    init(_ host: ShortenerHost) { self.host = host }

    func mount(on router: HTTPRouter) {
        router.on("GET", "/") { [host] exchange in
            if let target = host.domain(atHost: exchange.field("Host"))?.redirects.baseURL {
                try exchange.addField("Location", host.destination(target, for: exchange.head))
                return exchange.answer(Redirect.found.rawValue, text: "")
            }
            try ShortenerPage.page.answer(exchange)
        }
        router.on("GET", "/{code}") { [self] exchange in
            host.whenReady(exchange) { [self] in
                let name = exchange.parameters["code"]
                if name.hasSuffix("+") { preview(String(name.dropLast()), exchange) } else { visit(name, exchange) }
            }
        }
        if host.settings.extraPath != .refuse {
            router.on("GET", "/{code}/{rest...}") { [self] exchange in
                host.whenReady(exchange) { [self] in
                    // The first word stands without an encoding in any link's path.
                    let path = String(decoding: exchange.head.targetPath, as: UTF8.self)
                    let code = path.dropFirst().prefix { $0 != "/" }
                    visitFurther(String(code), String(path.dropFirst(code.count + 1)), exchange)
                }
            }
        }
        router.on("GET", "/{code}/qr-code") { [self] exchange in
            let picture = try PictureRequest(exchange)
            host.whenReady(exchange) { [self] in draw(exchange.parameters["code"], picture, exchange) }
        }
        router.on("GET", "/{code}/track") { [self] exchange in
            host.whenReady(exchange) { [self] in track(exchange.parameters["code"], exchange) }
        }
    }

    private func who(_ exchange: HTTPExchange) -> ShortenerHost.Visit {
        ShortenerHost.Visit(exchange.head, from: exchange.remote?.address)
    }

    /// The link of that code: at a domain the domain's own, or else the one of everywhere.
    private func entry(
        _ code: String, _ exchange: HTTPExchange, _ body: @escaping (_ key: String, _ entry: LinkCache.Entry) -> Void
    ) {
        guard (try? Alias.check(code)) != nil else { return body(code, LinkCache.Entry(link: nil, visits: 0)) }
        let domain = host.domain(atHost: exchange.field("Host"))?.name
        find([domain.map { LinkKey.make(code, domain: $0) }, code].compactMap { $0 }[...], exchange, body)
    }

    private func find(
        _ keys: ArraySlice<String>, _ exchange: HTTPExchange,
        _ body: @escaping (_ key: String, _ entry: LinkCache.Entry) -> Void
    ) {
        guard let key = keys.first else { return }
        host.find(key) { [self] result in
            switch result {
            case .success(let entry) where entry.link == nil && keys.count > 1:
                find(keys.dropFirst(), exchange, body)
            case .success(let entry): body(key, entry)
            case .failure(let failure): exchange.refuse(ShortenerHost.problem(failure))
            }
        }
    }

    private func visit(_ code: String, _ exchange: HTTPExchange) {
        entry(code, exchange) { [self] key, entry in
            claimed(key, entry, exchange) { [self] entry in
                let special = host.domain(atHost: exchange.field("Host"))?.redirects
                let answer = host.answer(
                    key, entry, who(exchange), exchange.head, query: Self.query(exchange), special: special)
                let isCode = (try? Alias.check(code)) != nil
                send(answer, orTo: isCode ? special?.invalidShortURL : special?.regular404, exchange)
            }
        }
    }

    /// A path behind a code: the link's, if there is one, and nobody's otherwise.
    private func visitFurther(_ code: String, _ rest: String, _ exchange: HTTPExchange) {
        guard !Alias.reserved.contains(code.lowercased()) else {
            return exchange.refuse(HTTPProblem(404, "nothing is there", remedy: "/openapi.json says what there is"))
        }
        entry(code, exchange) { [self] key, entry in
            claimed(key, entry, exchange) { [self] entry in
                let special = host.domain(atHost: exchange.field("Host"))?.redirects
                // The visit of a code that there is not is one of that path.
                let name = entry.link == nil ? code + rest : key
                let answer = host.answer(
                    name, entry, who(exchange), exchange.head, query: Self.query(exchange),
                    extraPath: host.settings.extraPath == .append ? rest : "", special: special)
                send(answer, orTo: special?.regular404, exchange)
            }
        }
    }

    /// The link as this visitor finds it: one of the visits that it is good for may be taken first.
    private func claimed(
        _ key: String, _ entry: LinkCache.Entry, _ exchange: HTTPExchange, _ body: @escaping (LinkCache.Entry) -> Void
    ) {
        host.claim(key, entry, isCounted: exchange.method == .get) { result in
            switch result {
            case .success(let entry): body(entry)
            case .failure(let failure): exchange.refuse(ShortenerHost.problem(failure))
            }
        }
    }

    /// - Parameter lost: where visitors go who have found nothing, if the domain says so.
    private func send(_ answer: ShortenerHost.Answer, orTo lost: String?, _ exchange: HTTPExchange) {
        var answer = answer
        if [404, 410].contains(answer.status), let lost {
            answer = ShortenerHost.Answer(
                status: Redirect.found.rawValue, fields: [("Location", host.destination(lost, for: exchange.head))])
        }
        for (name, value) in answer.fields { try? exchange.addField(name, value) }
        exchange.answer(answer.status, text: answer.text)
    }

    private static func query(_ exchange: HTTPExchange) -> String {
        exchange.head.target.split(separator: "?", maxSplits: 1).dropFirst().first.map(String.init) ?? ""
    }

    /// `/abc123+`: where it leads, without going there.
    private func preview(_ code: String, _ exchange: HTTPExchange) {
        entry(code, exchange) { [self] key, entry in
            guard let link = entry.link, link.verdict(now: host.node.wallClock, visits: entry.visits) == .redirect
            else {
                return exchange.refuse(ShortenerHost.missing(code))
            }
            exchange.answer(text: "\(host.shortURL(key, exchange)) leads to\n\(link.target)\n")
        }
    }

    /// What of a QR code is wanted, in Shlink's words: `?size=300&format=svg&margin=4&errorCorrection=H`.
    private struct PictureRequest {
        let size: Int
        let isDrawing: Bool
        let margin: Int
        let correction: QRCode.Correction

        init(_ exchange: HTTPExchange) throws {
            var query = try exchange.query()
            size = try query.takeInteger("size", 50...1000) ?? 300
            margin = try query.takeInteger("margin", 0...40) ?? QRCode.quietFields
            let format = try query.take("format") ?? "png"
            guard ["png", "svg"].contains(format) else {
                throw HTTPProblem(
                    400, "format: '\(format.prefix(40))' is neither png nor svg", remedy: "write format=svg")
            }
            isDrawing = format == "svg"
            let letter = try query.take("errorCorrection") ?? "M"
            guard let correction = QRCode.Correction(rawValue: letter.uppercased()) else {
                throw HTTPProblem(
                    400, "errorCorrection: '\(letter.prefix(40))' is none of L, M, Q, H",
                    remedy: "write errorCorrection=M")
            }
            self.correction = correction
            try query.expectNothingElse()
        }
    }

    private func draw(_ code: String, _ wanted: PictureRequest, _ exchange: HTTPExchange) {
        entry(code, exchange) { [self] key, entry in
            guard let link = entry.link, link.deletedAt == nil else {
                return exchange.refuse(ShortenerHost.missing(code))
            }
            guard let picture = QRCode(host.shortURL(key, exchange), wanted.correction) else {
                return exchange.refuse(
                    HTTPProblem(
                        422, "the short address is too long for a picture", remedy: "ask for less errorCorrection"))
            }
            try? exchange.addField("Cache-Control", "max-age=300")
            if wanted.isDrawing {
                exchange.answer(text: picture.svg(size: wanted.size, margin: wanted.margin), type: "image/svg+xml")
            } else {
                exchange.answer(bytes: picture.png(size: wanted.size, margin: wanted.margin), type: "image/png")
            }
        }
    }

    /// A picture of one transparent point: where no link can be clicked, its being fetched is the visit.
    private func track(_ code: String, _ exchange: HTTPExchange) {
        entry(code, exchange) { [self] key, entry in
            var name: ClickName?
            if let link = entry.link, link.deletedAt == nil, exchange.method == .get {
                name = host.note(key, who(exchange), isLimited: link.maxVisits != nil)
            }
            for (name, value) in host.fields(name) { try? exchange.addField(name, value) }
            try? exchange.addField("Cache-Control", "no-store")
            exchange.answer(bytes: Self.pixel, type: "image/gif")
        }
    }

    private static let pixel: [UInt8] = [
        71, 73, 70, 56, 57, 97, 1, 0, 1, 0, 128, 0, 0, 0, 0, 0, 255, 255, 255, 33, 249, 4, 1, 0, 0, 0, 0, 44, 0, 0, 0,
        0, 1, 0,
        1, 0, 0, 2, 2, 68, 1, 0, 59,
    ]
}
