import KernelLoopback

// sdlab: a system design lab. See Invocations.swift for what the words of the command line mean.

HostLimits.ignoreBrokenPipes()
let status = Launcher(words: Array(CommandLine.arguments.dropFirst())).run()
HostLimits.exit(status)
