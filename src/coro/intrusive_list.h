#pragma once

#include "base/check.h"

namespace hearth {

template <class T>
class intrusive_list;

// Doubly linked list through hooks that the elements inherit: no allocation, O(1) removal of an
// element by itself. `List` names the list's element type, so that a class can be in several lists
// by inheriting several hooks. An element must leave its list before it dies. Single-threaded.
template <class List>
class list_hook {
public:
    list_hook() noexcept = default;
    list_hook(const list_hook&) = delete;
    list_hook& operator=(const list_hook&) = delete;
    ~list_hook() { HEARTH_CHECK(!is_linked(), "list element destroyed while linked"); }

    [[nodiscard]] bool is_linked() const noexcept { return next_ != nullptr; }
    void unlink() noexcept {
        if (is_linked()) {
            previous_->next_ = next_;
            next_->previous_ = previous_;
            next_ = previous_ = nullptr;
        }
    }

private:
    friend class intrusive_list<List>;
    list_hook* next_ = nullptr;
    list_hook* previous_ = nullptr;
};

template <class T>
class intrusive_list {
public:
    using hook = list_hook<T>;

    intrusive_list() noexcept { sentinel_.next_ = sentinel_.previous_ = &sentinel_; }
    ~intrusive_list() {
        HEARTH_CHECK(empty(), "list destroyed with elements in it");
        sentinel_.next_ = sentinel_.previous_ = nullptr;
    }
    intrusive_list(const intrusive_list&) = delete;
    intrusive_list& operator=(const intrusive_list&) = delete;

    [[nodiscard]] bool empty() const noexcept { return sentinel_.next_ == &sentinel_; }
    [[nodiscard]] T& front() noexcept { return static_cast<T&>(*sentinel_.next_); }

    void push_back(T& element) noexcept {
        hook& link = element;
        HEARTH_CHECK(!link.is_linked(), "element is in a list already");
        link.previous_ = sentinel_.previous_;
        link.next_ = &sentinel_;
        sentinel_.previous_->next_ = &link;
        sentinel_.previous_ = &link;
    }

    // Visits every element; `visit` may unlink the one it is given.
    template <class Visitor>
    void for_each(Visitor&& visit) {
        for (hook* each = sentinel_.next_; each != &sentinel_;) {
            hook* next = each->next_;
            visit(static_cast<T&>(*each));
            each = next;
        }
    }

private:
    hook sentinel_;
};

}  // namespace hearth
