using System.CommandLine;
using LrtMesh.Core;
using LrtMesh.Standalone;
using LrtMesh.Standalone.Bench;

var root = new RootCommand("The roles of LrtMesh in one process, and the commands that compute locally.")
{
    UpCommand.Create(),
    TrainFamilyCommand.Create(),
    RandomModelCommand.Create(),
    VerifyCommand.Create(),
    BenchCommand.Create(),
};
try
{
    // Stopping may take as long as the roles let calls end.
    return await root.Parse(args).InvokeAsync(
        new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = TimeSpan.FromSeconds(20) });
}
catch (LrtMeshException e)
{
    await Console.Error.WriteLineAsync(e.Message);
    return 1;
}
