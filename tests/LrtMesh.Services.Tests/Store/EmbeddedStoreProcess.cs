using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using LrtMesh.Standalone;
using LrtMesh.TestKit.Stores;

namespace LrtMesh.Services.Tests.Store;

/// <summary>The embedded store in a process of its own, so that it can be killed: this test executable, started with a folder to serve.</summary>
public sealed class EmbeddedStoreProcess : StoreServer
{
    private const string Folder = "LRTMESH_TEST_STORE_FOLDER";
    private const string Port = "LRTMESH_TEST_STORE_PORT";

    /// <inheritdoc/>
    public override string? Missing => null;

    /// <inheritdoc/>
    protected override ProcessStartInfo Command(string folder, int port) =>
        new(Path.ChangeExtension(typeof(EmbeddedStoreProcess).Assembly.Location, null))
        {
            Environment = { [Folder] = folder, [Port] = port.ToString(CultureInfo.InvariantCulture) },
        };

    // The entry point belongs to the test runner; this comes before it.
#pragma warning disable CA2255 // This assembly is an executable.
    [ModuleInitializer]
    internal static void Serve()
    {
        if (Environment.GetEnvironmentVariable(Folder) is { } folder)
        {
            EmbeddedStore.Start(folder, int.Parse(Environment.GetEnvironmentVariable(Port)!, CultureInfo.InvariantCulture));
            Thread.Sleep(Timeout.Infinite);
        }
    }
#pragma warning restore CA2255
}
