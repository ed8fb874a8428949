import ShellSession

/// What is typed to start a web server to stand in front of.
package enum BackendCommands {
    package static var all: [Command] { [backend, udpEcho, udp] }
}
