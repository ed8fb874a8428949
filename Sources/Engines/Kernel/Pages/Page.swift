import KernelCryptography
import KernelHosting

/// A page for people, complete in itself: one answer holds text, style and script, and nothing is fetched from anywhere
/// else. So it works in a lab without an Internet, and nobody outside learns that it was looked at.
///
/// What all pages of the lab look and behave like stands here once: light or dark as the reader has it, for the
/// keyboard as well as the mouse, with the few helpers that a page's own script needs (`PageScript`).
///
/// A *content security policy* (W3C CSP3) names style and script by their digests: whatever somebody might smuggle into
/// the page by a name or a text is not carried out.
public struct Page: Sendable {
    /// The whole document as a server gives it, in UTF-8.
    public let html: String
    public let contentSecurityPolicy: String
    /// The same as a file of its own, which brings its policy along and asks nobody for anything.
    public let file: String

    /// - Parameters:
    ///   - title: plain text.
    ///   - body: HTML of the page's own; what users have written comes into it by the script's `el`, never here.
    ///   - style: beyond the common one.
    ///   - script: runs when the body is there, with the helpers in reach.
    ///   - data: JSON that the script reads with `pageData()`, for pages without a server; nil for none.
    public init(title: String, body: String, style: String = "", script: String, data: String? = nil) {
        let style = PageStyle.common + style
        let script = PageScript.common + script
        let rules =
            "default-src 'none'; style-src '\(Self.digest(style))'; script-src '\(Self.digest(script))'; "
            + "img-src 'self' data:; base-uri 'none'; form-action 'none'"
        func document(_ head: String) -> String {
            """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">\(head)
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>\(Self.escaped(title))</title>
            <link rel="icon" href="data:,">
            <style>\(style)</style>
            </head>
            <body>
            <a class="skip" href="#main">To the content</a>
            <main id="main" tabindex="-1">
            <h1>\(Self.escaped(title))</h1>
            <p id="status" role="status" aria-live="polite"></p>
            \(body)
            </main>\(Self.element(data))
            <script>\(script)</script>
            </body>
            </html>

            """
        }
        html = document("")
        contentSecurityPolicy = rules + "; connect-src 'self'; frame-ancestors 'none'"
        file = document("\n<meta http-equiv=\"Content-Security-Policy\" content=\"\(rules)\">")
    }

    private static func digest(_ text: String) -> String {
        "sha256-" + Base64.standard.encode(MessageDigest.sha256.digest(of: text))
    }

    /// Data that no script carries out. JSON has `<` in texts only, where its escape says the same, so nothing in it
    /// ends the element.
    private static func element(_ data: String?) -> String {
        guard let data else { return "" }
        return "\n<script type=\"application/json\" id=\"data\">\(data.replacing("<", with: "\\u003c"))</script>"
    }

    /// Text as it stands in HTML.
    public static func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.append(character)
            }
        }
    }

    /// Answers with the page.
    public func answer(_ exchange: HTTPExchange) throws {
        try exchange.addField("Content-Security-Policy", contentSecurityPolicy)
        try exchange.addField("X-Content-Type-Options", "nosniff")
        try exchange.addField("Referrer-Policy", "no-referrer")
        try exchange.addField("Cache-Control", "no-cache")
        exchange.answer(text: html, type: "text/html; charset=utf-8")
    }
}
