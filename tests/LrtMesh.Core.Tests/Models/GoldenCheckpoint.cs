using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using LrtMesh.TestKit;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>A checkpoint with the outputs that a correct implementation gives, as tests/golden/README.md lays it out.</summary>
internal sealed class GoldenCheckpoint : IDisposable
{
    private readonly SafetensorsFile _expected;

    public GoldenCheckpoint(string folder)
    {
        Folder = folder;
        _expected = SafetensorsFile.Open(Path.Combine(folder, "expected.safetensors"));
    }

    /// <summary>Every folder with an expected.safetensors: those committed, and those beside the repository where it has them.</summary>
    public static IEnumerable<string> Folders()
    {
        return new[] { "tests/golden", "../shared/golden", "../shared/real" }
            .Select(home => Path.GetFullPath(Path.Combine(RepositoryRoot.Find(), home)))
            .Where(Directory.Exists)
            .SelectMany(Directory.GetDirectories)
            .Where(folder => File.Exists(Path.Combine(folder, "expected.safetensors")))
            .Order(StringComparer.Ordinal);
    }

    public string Folder { get; }

    public Tensor Ids => Read("input_ids", ScalarType.Int64); // [rows, tokens]

    public Tensor Read(string name, ScalarType dtype = ScalarType.Float32) => _expected.Read(name, _expected.Tensors[name].Shape, dtype);

    public void Dispose() => _expected.Dispose();

    /// <summary>The largest absolute difference; fails with the place where the tolerance of the data is exceeded.</summary>
    public float Compare(string name, Tensor actual)
    {
        var expected = Read(name).Floats().ToArray();
        var got = actual.contiguous().Floats().ToArray();
        Xunit.Assert.Equal(expected.Length, got.Length);
        var worst = 0f;
        for (var i = 0; i < got.Length; i++)
        {
            var difference = Math.Abs(got[i] - expected[i]);
            Xunit.Assert.True(difference <= 2e-4 + (1e-5 * Math.Abs(expected[i])), $"{name} of {Folder} differs by {difference:g3} at {i}: {got[i]} and not {expected[i]}");
            worst = Math.Max(worst, difference);
        }

        return worst;
    }
}
