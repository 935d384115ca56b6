// An API server of Kubernetes for the lab: k8s.io/apiserver with the pods and services of core/v1 and the endpoint
// slices of discovery.k8s.io/v1, kept in an etcd.
//
// Everything that a client of lists and watches meets is the library's, which is also that of kube-apiserver: TLS,
// authentication by token, versions, pages, selectors, the watch cache and its bookmarks, 410. What is left out is in
// the repository of Kubernetes itself, which is no library: validation and defaults of what is in a pod, admission,
// controllers. Here is only the wiring. `cargo xtask apiserver` builds and uses it.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/component-helpers/auth/rbac/validation"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/yaml"
)

var (
	port       = flag.Int("port", 6443, "where to listen, on the loopback")
	etcd       = flag.String("etcd", "http://127.0.0.1:2379", "URL of the etcd")
	certs      = flag.String("certs", "", "folder of the certificate, made there if it is missing")
	tokens     = flag.String("tokens", "", "file of tokens: token,user,uid,group")
	role       = flag.String("role", "", "file of the ClusterRole of all but administrators, read for each request")
	watchCache = flag.Bool("watch-cache", true, "serve watches from a cache, not from etcd")

	scheme = runtime.NewScheme()
	codecs = serializer.NewCodecFactory(scheme)
)

func main() {
	flag.Parse()
	register()
	if err := run(server.SetupSignalContext()); err != nil {
		fmt.Fprintln(os.Stderr, "apiserver:", err)
		os.Exit(1)
	}
}

// The types of v1 are the internal ones, too: those that kube-apiserver has besides are no library.
func register() {
	utilruntime.Must(corev1.AddToScheme(scheme))
	utilruntime.Must(discoveryv1.AddToScheme(scheme))
	scheme.AddKnownTypes(schema.GroupVersion{Version: runtime.APIVersionInternal},
		&corev1.Pod{}, &corev1.PodList{}, &corev1.Service{}, &corev1.ServiceList{})
	scheme.AddKnownTypes(schema.GroupVersion{Group: discoveryv1.GroupName, Version: runtime.APIVersionInternal},
		&discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{})
	utilruntime.Must(scheme.AddFieldLabelConversionFunc(corev1.SchemeGroupVersion.WithKind("Pod"),
		func(label, value string) (string, string, error) {
			if slices.Contains(podFields, label) {
				return label, value, nil
			}
			return "", "", fmt.Errorf("field label not supported: %s", label)
		}))
}

func run(ctx context.Context) error {
	config, err := configure()
	if err != nil {
		return err
	}
	api, err := config.Complete(nil).New("lab", server.NewEmptyDelegate())
	if err != nil {
		return err
	}
	core, discovery, err := resources(config.RESTOptionsGetter)
	if err != nil {
		return err
	}
	group := groupOf(corev1.SchemeGroupVersion, core)
	if err := api.InstallLegacyAPIGroup(server.DefaultLegacyAPIPrefix, &group); err != nil {
		return err
	}
	group = groupOf(discoveryv1.SchemeGroupVersion, discovery)
	if err := api.InstallAPIGroup(&group); err != nil {
		return err
	}
	return api.PrepareRun().RunWithContext(ctx)
}

func groupOf(version schema.GroupVersion, resources map[string]rest.Storage) server.APIGroupInfo {
	group := server.NewDefaultAPIGroupInfo(version.Group, scheme, metav1.ParameterCodec, codecs)
	group.VersionedResourcesStorageMap[version.Version] = resources
	return group
}

func configure() (*server.Config, error) {
	config := server.NewConfig(codecs)
	// Without it, a server that is told to end waits a minute for its watches.
	config.ShutdownWatchTerminationGracePeriod = 2 * time.Second
	config.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	namer := openapi.NewDefinitionNamer(scheme)
	config.OpenAPIConfig = server.DefaultOpenAPIConfig(definitions, namer)
	config.OpenAPIV3Config = server.DefaultOpenAPIV3Config(definitions, namer)
	config.SkipOpenAPIInstallation = true

	loopback := net.IPv4(127, 0, 0, 1)
	serving := options.NewSecureServingOptions()
	serving.BindAddress, serving.BindPort = loopback, *port
	serving.ServerCert.CertDirectory, serving.ServerCert.PairName = *certs, "apiserver"
	if err := serving.MaybeDefaultWithSelfSignedCerts(loopback.String(), nil, nil); err != nil {
		return nil, err
	}
	if err := serving.WithLoopback().ApplyToConfig(config); err != nil {
		return nil, err
	}

	known, err := tokenfile.NewCSV(*tokens)
	if err != nil {
		return nil, err
	}
	config.Authentication.Authenticator = bearertoken.New(authenticator.Token(known))
	config.Authorization.Authorizer = authorizer.AuthorizerFunc(authorize)

	versions := codecs.LegacyCodec(corev1.SchemeGroupVersion, discoveryv1.SchemeGroupVersion)
	storage := options.NewEtcdOptions(storagebackend.NewDefaultConfig("/registry", versions))
	storage.StorageConfig.Transport.ServerList = []string{*etcd}
	storage.EnableWatchCache = *watchCache
	return config, storage.ApplyTo(config)
}

// Administrators may everything, all others what the role says.
func authorize(_ context.Context, asked authorizer.Attributes) (authorizer.Decision, string, error) {
	if slices.Contains(asked.GetUser().GetGroups(), "system:masters") {
		return authorizer.DecisionAllow, "", nil
	}
	text, err := os.ReadFile(*role)
	if err != nil {
		return authorizer.DecisionNoOpinion, "", err
	}
	var allowed rbacv1.ClusterRole
	if err := yaml.Unmarshal(text, &allowed); err != nil {
		return authorizer.DecisionNoOpinion, "", err
	}
	wanted := rbacv1.PolicyRule{
		Verbs: []string{asked.GetVerb()}, APIGroups: []string{asked.GetAPIGroup()}, Resources: []string{asked.GetResource()},
	}
	if covers, _ := validation.Covers(allowed.Rules, []rbacv1.PolicyRule{wanted}); covers && asked.IsResourceRequest() {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// The library wants a schema of each type. Those of Kubernetes are generated from its repository; these say of each
// type that it is an object, for nothing here depends on more.
func definitions(common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	known := map[string]common.OpenAPIDefinition{}
	for _, kind := range scheme.AllKnownTypes() {
		object := spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}}}
		object.AddExtension("x-kubernetes-preserve-unknown-fields", true)
		known[util.GetCanonicalTypeName(reflect.New(kind).Interface())] = common.OpenAPIDefinition{Schema: object}
	}
	return known
}
