using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using LrtMesh.Core.Models;
using Xunit;

namespace LrtMesh.Core.Tests.Models;

[UnsupportedOSPlatform("windows")]
public sealed class ModelRootTests : IDisposable
{
    private const uint Nobody = 65534;
    private const UnixFileMode Open = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("lrtmesh-root-");

    public void Dispose() => _root.Delete(recursive: true);

    [Theory]
    [InlineData(UnixFileMode.UserRead | UnixFileMode.OtherRead)] // its names can be listed, and not what they are
    [InlineData(UnixFileMode.None)]
    public void A_folder_that_may_not_be_read_is_refused_by_the_name_it_was_asked_by(UnixFileMode mode)
    {
        var folder = _root.CreateSubdirectory("closed");
        File.WriteAllText(Path.Combine(folder.FullName, "config.json"), "{}");
        _root.UnixFileMode = Open;
        folder.UnixFileMode = mode;
        var error = Assert.Throws<LrtMeshException>(() => AsNobody(() => ModelRoot.Find("closed", _root.FullName, "checkpoint")));
        folder.UnixFileMode = Open;

        Assert.Equal(ErrorReason.FailedPrecondition, error.Reason);
        Assert.Equal("checkpoint: 'closed' cannot be read: this role may not, or its disk fails", error.Message);
    }

    /// <summary>Does it on a thread that may read what anybody may, also where the process is root's.</summary>
    private static void AsNobody(Action action)
    {
        Exception? thrown = null;
        var thread = new Thread(() =>
        {
            _ = SetFileUser(Nobody); // of this thread alone; without root's rights nothing changes
            try
            {
                action();
            }
            catch (Exception e)
            {
                thrown = e;
            }
        });
        thread.Start();
        thread.Join();
        if (thrown is not null)
        {
            throw thrown;
        }
    }

    [DllImport("libc", EntryPoint = "setfsuid")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int SetFileUser(uint user);
}
