import CommandServices
import RateLimiterService
import ShellSession

extension Session {
    /// The rate limiters that run, with the names of their nodes.
    var limiters: [(name: String, host: RateLimiterHost)] { running(RateLimiterHost.self) }

    /// A running rate limiter by its node's name, or the only one there is.
    ///
    /// - Throws: `CommandFailure` if there is none, or not just one.
    func limiter(named name: String?) throws -> RateLimiterHost {
        try running(
            RateLimiterHost.self, named: name, what: "rate limiter", start: "ratelimiter --rate 10 --port 8080",
            remedy: "name one: --node NAME")
    }
}
