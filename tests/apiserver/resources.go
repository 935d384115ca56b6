package main

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/names"
)

// The fields by which pods can be selected.
var podFields = []string{"metadata.name", "metadata.namespace", "spec.nodeName", "status.phase"}

// The resources of both groups, by name.
func resources(options generic.RESTOptionsGetter) (core, discovery map[string]rest.Storage, err error) {
	pods, err := store(options, corev1.Resource("pods"), "pod", &corev1.Pod{}, &corev1.PodList{},
		strategy{create: startPod, update: keepStatus})
	if err != nil {
		return nil, nil, err
	}
	services, err := store(options, corev1.Resource("services"), "service", &corev1.Service{},
		&corev1.ServiceList{}, strategy{})
	if err != nil {
		return nil, nil, err
	}
	slices, err := store(options, discoveryv1.Resource("endpointslices"), "endpointslice",
		&discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{}, strategy{})
	if err != nil {
		return nil, nil, err
	}
	ofStatus := *pods
	ofStatus.UpdateStrategy = newStrategy(strategy{update: keepSpec})
	core = map[string]rest.Storage{"pods": pods, "pods/status": &status{&ofStatus}, "services": services}
	return core, map[string]rest.Storage{"endpointslices": slices}, nil
}

// A resource in etcd.
func store(options generic.RESTOptionsGetter, resource schema.GroupResource, singular string,
	object, list runtime.Object, how strategy) (*registry.Store, error) {
	how = newStrategy(how)
	made := &registry.Store{
		NewFunc:                   object.DeepCopyObject,
		NewListFunc:               list.DeepCopyObject,
		PredicateFunc:             predicate,
		DefaultQualifiedResource:  resource,
		SingularQualifiedResource: schema.GroupResource{Group: resource.Group, Resource: singular},
		CreateStrategy:            how,
		UpdateStrategy:            how,
		DeleteStrategy:            how,
		TableConvertor:            rest.NewDefaultTableConvertor(resource),
		Decorator:                 forgetKinds,
	}
	// As kube-apiserver has it: a change of a pod is told to the watches of its node only.
	triggers := map[string]storage.IndexerFunc{}
	if resource == corev1.Resource("pods") {
		triggers["spec.nodeName"] = func(object runtime.Object) string { return object.(*corev1.Pod).Spec.NodeName }
	}
	return made, made.CompleteWithOptions(&generic.StoreOptions{
		RESTOptions: options, AttrFunc: attributes, TriggerFunc: triggers,
	})
}

// As kube-apiserver has it: what is in a list does not say of what kind it is. These are copies of the stored objects.
func forgetKinds(object runtime.Object) {
	if meta.IsListType(object) {
		utilruntime.Must(meta.EachListItem(object, func(item runtime.Object) error {
			item.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
			return nil
		}))
	}
}

// What selectors can ask for.
func attributes(object runtime.Object) (labels.Set, fields.Set, error) {
	metadata, err := meta.Accessor(object)
	if err != nil {
		return nil, nil, err
	}
	known := fields.Set{"metadata.name": metadata.GetName(), "metadata.namespace": metadata.GetNamespace()}
	if pod, is := object.(*corev1.Pod); is {
		known["spec.nodeName"], known["status.phase"] = pod.Spec.NodeName, string(pod.Status.Phase)
	}
	return metadata.GetLabels(), known, nil
}

func predicate(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
	return storage.SelectionPredicate{
		Label: label, Field: field, GetAttrs: attributes, IndexFields: []string{"spec.nodeName"},
	}
}

// What happens to an object before it is stored: nothing, but to pods.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	create func(created runtime.Object)
	update func(updated, old runtime.Object)
}

func newStrategy(how strategy) strategy {
	how.ObjectTyper, how.NameGenerator = scheme, names.SimpleNameGenerator
	return how
}

// A new pod has not started, whatever its creator says. But the lab's pods run before the API knows of them, so that
// their UIDs are those in the paths of their cgroups, not such as the library has just made up.
func startPod(created runtime.Object) {
	pod := created.(*corev1.Pod)
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
	if uid, is := pod.Annotations["tracer-lab/uid"]; is {
		pod.UID = types.UID(uid)
	}
}

func keepStatus(updated, old runtime.Object) {
	updated.(*corev1.Pod).Status = old.(*corev1.Pod).Status
}

func keepSpec(updated, old runtime.Object) {
	updated.(*corev1.Pod).Spec = old.(*corev1.Pod).Spec
}

func (how strategy) PrepareForCreate(_ context.Context, created runtime.Object) {
	if how.create != nil {
		how.create(created)
	}
}

func (how strategy) PrepareForUpdate(_ context.Context, updated, old runtime.Object) {
	if how.update != nil {
		how.update(updated, old)
	}
}

func (strategy) NamespaceScoped() bool                                                 { return true }
func (strategy) AllowCreateOnUpdate() bool                                             { return false }
func (strategy) AllowUnconditionalUpdate() bool                                        { return true }
func (strategy) Canonicalize(runtime.Object)                                           {}
func (strategy) Validate(context.Context, runtime.Object) field.ErrorList              { return nil }
func (strategy) ValidateUpdate(_ context.Context, _, _ runtime.Object) field.ErrorList { return nil }
func (strategy) WarningsOnCreate(context.Context, runtime.Object) []string             { return nil }
func (strategy) WarningsOnUpdate(_ context.Context, _, _ runtime.Object) []string      { return nil }

// The status of pods, which is the kubelet's.
type status struct{ store *registry.Store }

func (s *status) New() runtime.Object { return s.store.New() }

// The store is that of the pods, which end it.
func (s *status) Destroy() {}

func (s *status) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return s.store.Get(ctx, name, options)
}

func (s *status) Update(ctx context.Context, name string, object rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	return s.store.Update(ctx, name, object, create, update, false, options)
}
