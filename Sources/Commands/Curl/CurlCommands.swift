import ShellSession

/// The HTTP client.
package enum CurlCommands {
    package static var all: [Command] { [curl] }
}
