using System.CommandLine;
using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using LrtMesh.Extraction;
using TorchSharp;

namespace LrtMesh.Standalone.Bench;

/// <summary>The model of a bench that serves: a checkpoint, or random weights of a shape with the shipped tokenizer, in a folder that goes with the bench.</summary>
internal sealed class BenchModel : IDisposable
{
    private readonly string? _made;

    private BenchModel(string folder, ComputeDtype dtype, bool made)
    {
        Folder = folder;
        Dtype = dtype;
        _made = made ? folder : null;
    }

    /// <summary>Its folder, with weights and tokenizer.</summary>
    public string Folder { get; }

    /// <summary>The type to compute in.</summary>
    public ComputeDtype Dtype { get; }

    /// <summary>The options by which it is said.</summary>
    public sealed class Options(string size)
    {
        private readonly Option<string?> _model = new("--model") { Description = $"A checkpoint with its tokenizer. Default: tiny-{size}.", HelpName = "DIR" };

        private readonly Option<FileInfo?> _config = new("--config") { Description = "Random weights of this config.json's shape instead, with the shipped tokenizer.", HelpName = "FILE" };

        private readonly Option<ComputeDtype> _dtype = new("--dtype")
        {
            Description = "float32, bfloat16, int8, or auto.", HelpName = "TYPE", DefaultValueFactory = _ => ComputeDtype.Auto,
        };

        public void AddTo(Command command)
        {
            command.Options.Add(_model);
            command.Options.Add(_config);
            command.Options.Add(_dtype);
            command.Validators.Add(result =>
            {
                if (result.GetValue(_model) is not null && result.GetValue(_config) is not null)
                {
                    result.AddError("Give --model or --config, not both.");
                }
            });
        }

        /// <summary>The model; weights are made and written here where they are random.</summary>
        /// <exception cref="LrtMeshException">It cannot be found or made.</exception>
        public BenchModel Take(ParseResult parsed)
        {
            NativeTorch.EnsureLoaded();
            var dtype = parsed.GetValue(_dtype);
            var tiny = Path.Combine(UpCommand.Home, "models", "tiny");
            if (parsed.GetValue(_config) is not { } config)
            {
                return new(ModelFolder.Find(parsed.GetValue(_model) ?? Path.Combine(tiny, size)), dtype, made: false);
            }

            var model = new BenchModel(Directory.CreateTempSubdirectory("lrtmesh-bench-").FullName, dtype, made: true);
            try
            {
                RandomCheckpoint.Write(config.FullName, model.Folder, torch.ScalarType.BFloat16, seed: 1);
                foreach (var file in Directory.EnumerateFiles(Path.Combine(tiny, "tokenizer")))
                {
                    File.Copy(file, Path.Combine(model.Folder, Path.GetFileName(file)));
                }

                return model;
            }
            catch
            {
                model.Dispose();
                throw;
            }
        }
    }

    /// <summary>It as a role's model.</summary>
    /// <param name="name">The name by which requests will refer to it.</param>
    public ModelSource As(string name) => new(name, Folder);

    public void Dispose()
    {
        if (_made is not null)
        {
            Directory.Delete(_made, recursive: true);
        }
    }
}
