import ShellSession

/// What is typed to keep traces, and to look at them.
package enum TracingCommands {
    package static var all: [Command] { [jaeger, trace, topo] }
}
