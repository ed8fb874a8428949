import ShellSession

/// What is typed to start rate limiters and to look into them.
package enum RateLimiterCommands {
    package static var all: [Command] { [ratelimiter, limiter] }
}
