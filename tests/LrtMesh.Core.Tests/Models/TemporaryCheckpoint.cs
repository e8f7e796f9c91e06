using LrtMesh.TestKit;

namespace LrtMesh.Core.Tests.Models;

/// <summary>A random checkpoint with its tokenizer, gone after the test.</summary>
internal sealed class TemporaryCheckpoint : IDisposable
{
    public TemporaryCheckpoint(int width, int layers)
    {
        Folder = Directory.CreateTempSubdirectory("lrtmesh-checkpoint-").FullName;
        var tokenizer = Path.Combine(Folder, "tokenizer");
        TinyCheckpoint.WriteTokenizer(tokenizer);
        TinyCheckpoint.Write(Folder, tokenizer, width, layers, seed: 5);
    }

    public string Folder { get; }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
