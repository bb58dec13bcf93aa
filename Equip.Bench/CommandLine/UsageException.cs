namespace Equip.Bench.CommandLine;

/// <summary>The command line asks for something that cannot be: exit code 2. The message is one line, "--option: problem".</summary>
internal sealed class UsageException(string message) : Exception(message);
