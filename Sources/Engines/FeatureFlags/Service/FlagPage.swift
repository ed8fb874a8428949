/// The page for people at `/`; what is on it comes in time.
enum FlagPage {
    static let contentSecurityPolicy =
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
    static let html = "<!doctype html><title>Feature flags</title><p>Feature flags\n"
}
