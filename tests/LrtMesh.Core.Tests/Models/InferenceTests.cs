using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>Tests that run models: no tensor has a gradient, and all end with the test.</summary>
public abstract class InferenceTests : IDisposable
{
    private readonly IDisposable _noGrad = no_grad();
    private readonly DisposeScope _scope = NewDisposeScope();

    public virtual void Dispose()
    {
        _scope.Dispose();
        _noGrad.Dispose();
        GC.SuppressFinalize(this);
    }
}
