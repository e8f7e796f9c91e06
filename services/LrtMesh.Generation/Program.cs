using LrtMesh.Extraction;
using LrtMesh.Generation;
using LrtMesh.ServiceDefaults;

return await RoleHost.RunAsync(settings => GenerationRole.Build(ModelRoleOptions.From(settings)), args);
