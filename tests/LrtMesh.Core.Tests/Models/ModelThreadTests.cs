using LrtMesh.Core.Models;
using Xunit;

namespace LrtMesh.Core.Tests.Models;

public sealed class ModelThreadTests : IDisposable
{
    private readonly TemporaryCheckpoint _checkpoint = new(width: 16, layers: 1);
    private readonly LoadedModel _model;

    public ModelThreadTests() => _model = LoadedModel.Load("test", _checkpoint.Folder);

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _model.Dispose();
        _checkpoint.Dispose();
    }

    [Fact]
    public async Task It_tells_how_long_it_has_been_at_one_step()
    {
        Assert.Equal(TimeSpan.Zero, _model.AtWork);
        var reached = new TaskCompletionSource();
        using var go = new ManualResetEventSlim();
        var reading = _model.ReadStatesAsync(
            [[1, 2, 3]],
            [0],
            (_, _, _) =>
            {
                reached.TrySetResult();
                go.Wait(Ct);
            },
            Ct);
        await reached.Task.WaitAsync(Ct);
        await Task.Delay(50, Ct);
        Assert.InRange(_model.AtWork, TimeSpan.FromMilliseconds(50), TimeSpan.FromMinutes(1));

        go.Set();
        await reading;
        Assert.True(SpinWait.SpinUntil(() => _model.AtWork == TimeSpan.Zero, TimeSpan.FromSeconds(10)), "it waits for work, and says that it is at some");
    }
}
